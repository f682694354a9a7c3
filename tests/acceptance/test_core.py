"""The matrix for one client, that of this project's own environment: the rest of it is `scripts/acceptance`.

What tests/end_to_end asks for already is left to scripts/soak.
"""

import sys

import pytest

from tests.acceptance.catalogue import CLIENTS_FOLDER
from tests.acceptance.faults import FAULTS, Fault, faults_named
from tests.acceptance.matrix import MODES
from tests.acceptance.rule import complaint

COMMAND = [sys.executable, str(CLIENTS_FOLDER / "openai_python.py")]
CORE = {
    ("killed-before-first-token", "whole"),
    ("killed-after-last-token", "stream"),
}


def _cells() -> list[object]:
    return [
        pytest.param(
            fault, mode, id=f"{fault.name}-{mode}", marks=() if (fault.name, mode) in CORE else pytest.mark.soak
        )
        for fault in FAULTS
        for mode in MODES
    ]


@pytest.mark.parametrize(("fault", "mode"), _cells())
def test_a_failed_request_never_returns_normally(fault: Fault, mode: str) -> None:
    with fault.scene(fault.setting) as ask:
        seen = ask(COMMAND, mode)
    assert complaint(fault.expected, seen, fault.answer) is None, seen


def test_what_is_in_the_core_exists() -> None:
    assert faults_named([name for name, _ in CORE])
