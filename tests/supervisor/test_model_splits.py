"""What is read from mlx-lm's source, against what its classes can do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.model_splits import possible_splits

# Every kind of model that mlx-lm can load, with what its classes have; one that cannot be imported here is left out.
ASK_MLX_LM = """
import importlib, json, pkgutil
import mlx.nn as nn
import mlx_lm.models
found = {}
for module in pkgutil.iter_modules(mlx_lm.models.__path__):
    try:
        kind = importlib.import_module(f"mlx_lm.models.{module.name}")
    except (Exception, SystemExit):
        continue
    if not hasattr(kind, "Model"):
        continue
    classes = [value for value in vars(kind).values() if isinstance(value, type) and issubclass(value, nn.Module)]
    ways = ["tensor"] if hasattr(kind.Model, "shard") else []
    found[module.name] = ways + (["pipeline"] if any(hasattr(each, "pipeline") for each in classes) else [])
print(json.dumps(found))
"""


@pytest.mark.mlx
@pytest.mark.soak
def test_no_kind_of_model_is_denied_what_it_can() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", ASK_MLX_LM], capture_output=True, text=True, timeout=240, check=True
    )
    real: dict[str, list[str]] = json.loads(outcome.stdout.splitlines()[-1])
    assert len(real) > 50
    read = {kind: possible_splits({"model_type": kind}) for kind in real}
    assert {kind: ways for kind, ways in real.items() if not set(ways) <= set(read[kind])} == {}
    too_much = [kind for kind, ways in real.items() if set(read[kind]) != set(ways)]
    assert len(too_much) < len(real) / 5, too_much


@pytest.mark.parametrize(
    ("configuration", "ways"),
    [
        ({"model_type": "llama"}, ("tensor",)),
        ({"model_type": "mistral"}, ("tensor",)),
        ({"model_type": "deepseek_v3"}, ("tensor", "pipeline")),
        ({"model_type": "kimi_k2"}, ("tensor", "pipeline")),
        ({"model_type": "gpt2"}, ()),
        ({"model_type": "nobody_has_this"}, ("tensor", "pipeline")),
        ({"model_type": "../utils"}, ("tensor", "pipeline")),
        ({"model_type": 7}, ("tensor", "pipeline")),
        ({"model_type": "llama", "architectures": [None, 7]}, ("tensor",)),
        ({}, ("tensor", "pipeline")),
    ],
)
def test_kinds_of_models(configuration: dict[str, object], ways: tuple[str, ...]) -> None:
    assert possible_splits(configuration) == ways


def test_an_mlx_lm_that_cannot_be_read_forbids_nothing(tmp_path: Path) -> None:
    assert possible_splits({"model_type": "llama"}, tmp_path) == ("tensor", "pipeline")
    (tmp_path / "utils.py").write_text("this is no Python")
    assert possible_splits({"model_type": "llama"}, tmp_path) == ("tensor", "pipeline")
