"""What a runner says about a model folder that is no good."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from diagnostics.evidence import RunnerTerminationError
from diagnostics.phase import Phase
from tests.runner.harness import MLX, running
from transports.messages import PhaseChanged

pytestmark = pytest.mark.mlx


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def truncate_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5000])


def ask_for_another_layer(folder: Path) -> None:
    change_config(folder, num_hidden_layers=5)


def ask_for_an_unknown_type(folder: Path) -> None:
    change_config(folder, model_type="no_such_type")


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_folder, "does not exist"),
        (remove_weights, "No safetensors found"),
        (truncate_weights, "exceeding the size of the file"),
        (ask_for_another_layer, "Missing 12 parameters"),
        (ask_for_an_unknown_type, "no_such_type not supported"),
    ],
)
def test_a_bad_model_folder_is_named(model: Path, tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    damage(folder)
    with running(engine=MLX, model=str(folder)) as group:
        assert group.leader.exit_code() == 1
        (error,) = group.leader.of(RunnerTerminationError)
        assert words in error.message
        assert group.leader.phases[-1] is Phase.LOADING


def test_loading_counts_layers(model: Path) -> None:
    with running(engine=MLX, model=str(model)) as group:
        group.wait_for_phase(Phase.READY)
        counts = [(e.done, e.total) for e in group.leader.of(PhaseChanged) if e.phase is Phase.LOADING]
        assert counts == [(0, 0), (1, 4), (2, 4), (3, 4), (4, 4)]
        assert group.shut_down() == [0]


def test_heads_that_cannot_be_shared_are_an_error_with_a_remedy(model: Path) -> None:
    with running(ranks=3, engine=MLX, model=str(model)) as group:
        for runner in group.runners:
            assert runner.exit_code() == 1
        messages = [runner.of(RunnerTerminationError)[0].message for runner in group.runners]
        assert any("3 ranks cannot share evenly" in message for message in messages)
