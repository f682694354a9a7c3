"""Models for the runner's tests."""

from pathlib import Path

import pytest

from tests.runner import random_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small qwen2 with random weights."""
    return random_model.build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tool_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small qwen2 with random weights that thinks and calls tools; see `tests.faults.echo`."""
    return random_model.build(tmp_path_factory.mktemp("tool-model"), layers=2, tools=True)
