"""The tab key: what a real bash offers, and that nothing is ever an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.journal.journal import Journal
from supervisor.journal.records import TaskOutcome, TaskRecord
from supervisor.state_directory import StateDirectory
from tests.supervisor.canned_daemon import INCIDENT

ROOT = Path(__file__).parents[2]
# Two lines for each try: what was typed, and what bash would offer for its last word.
_TRIES = """
eval "$(ringwarden --show-completion; true)"
try() {
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
    _ringwarden_completion ringwarden
    echo "$*"; echo "${COMPREPLY[*]}"
}
"""


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "ringwarden"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m supervisor.cli "$@"\n')
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGWARDEN_")}
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


def test_a_real_bash_offers_commands_flags_and_ids(tmp_path: Path, shell_environment: dict[str, str]):
    state = tmp_path / "state"
    journal = Journal(StateDirectory(state).journal_file, run_id="run-1")
    journal.write(INCIDENT)
    for name, outcome in (("req-open", None), ("req-over", TaskOutcome.FINISHED)):
        journal.write(
            TaskRecord(
                run_id="r", task_id=name, generation=1, model="tiny", started_at=1.0, ended_at=2.0, outcome=outcome
            )
        )
    assert journal.close()
    tries = [
        'ringwarden ""',
        "ringwarden inc",
        "ringwarden logs --stream std",
        f"ringwarden why --state-dir {state} inc",
        f"ringwarden cancel --state-dir {state} req",
        "ringwarden why --state-dir /nowhere in",
    ]
    script = _TRIES + "".join(f"try {line}\n" for line in tries)
    outcome = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, env=shell_environment, check=False
    )
    assert outcome.stderr == ""
    offered = [line.split() for line in outcome.stdout.splitlines()[1::2]]
    assert {"up", "top", "events", "why", "doctor", "keys"} <= set(offered[0])
    assert offered[1:] == [["incidents"], ["stdout", "stderr"], ["inc-7f3a"], ["req-open"], []]


@pytest.mark.soak
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_parse_their_script(shell: str, tmp_path: Path, shell_environment: dict[str, str]):
    where = shutil.which(shell)
    if where is None:
        pytest.skip(f"{shell} is not installed")
    script = 'ringwarden --show-completion > script && "$0" -n script' if shell == "zsh" else _FISH
    outcome = subprocess.run(
        [where, "-c", script, where],
        capture_output=True,
        text=True,
        timeout=60,
        env=shell_environment,
        cwd=tmp_path,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "ringwarden" in (tmp_path / "script").read_text()


_FISH = "ringwarden --show-completion > script; and fish -n script; and source script; and complete -C 'ringwarden inc'"
