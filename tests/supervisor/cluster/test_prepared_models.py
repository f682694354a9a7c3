"""What a node tells of a model on its disk."""

import json
import shutil
from pathlib import Path

import pytest

from supervisor.cluster.prepared_models import PreparedModels, describe_model
from supervisor.model_source import ModelSourceError, resolve_model

pytestmark = pytest.mark.anyio


async def test_the_built_in_model_is_described(tmp_path: Path) -> None:
    models = PreparedModels(lambda line: None)
    described = await models.prepare("tiny")
    assert (described.model_id, described.layers, described.attention_heads, described.key_value_heads) == (
        "tiny", 4, 4, 4,
    )  # fmt: skip
    assert described.weight_bytes > 1_000_000
    assert (models.path("tiny") / "config.json").is_file()


async def test_two_copies_are_the_same_and_a_changed_one_is_not(tmp_path: Path) -> None:
    source = resolve_model("tiny").path
    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(source, same)
    shutil.copytree(source, other)
    configuration = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**configuration, "rope_theta": 5.0}))
    digests = [describe_model(resolve_model(str(folder))).digest for folder in (source, same, other)]
    assert digests[0] == digests[1] != digests[2]


async def test_a_model_that_cannot_be_had_says_why() -> None:
    with pytest.raises(ModelSourceError):
        await PreparedModels(lambda line: None).prepare("./not/there")
    with pytest.raises(FileNotFoundError, match="not prepared"):
        PreparedModels(lambda line: None).path("tiny")
