"""Restart policies, as scripts see them."""

import signal
from pathlib import Path

import pytest

from tests.supervisor.run.program import end, events, python, read_lines, run, started

FAILS_TWICE = """
import os, pathlib, sys
tries = pathlib.Path(sys.argv[1]) / f"tries-{os.environ['MLX_RANK']}"
count = len(tries.read_text()) if tries.exists() else 0
tries.write_text("x" * (count + 1))
print("try", count, os.environ["MLX_HOSTFILE"], flush=True)
if count < 2 and os.environ["MLX_RANK"] == "1":
    sys.exit(9)
"""


def test_on_failure_starts_all_ranks_again(tmp_path: Path) -> None:
    outcome = run(tmp_path, "-n", "2", "--json", "--restart", "on-failure", *python(FAILS_TWICE, str(tmp_path)))
    found = events(outcome.stdout)
    assert outcome.returncode == 0
    assert [event["generation"] for event in found if event["event"] == "start"] == [1, 1, 2, 2, 3, 3]
    assert [event["rank"] for event in found if event["event"] == "verdict"] == [1, 1]
    assert [event["event"] for event in found if event["event"] == "restart"] == ["restart", "restart"]
    tries = [event["line"].split() for event in found if event["event"] == "output" and event["rank"] == 0]
    assert [(word, number) for word, number, _ in tries] == [("try", "0"), ("try", "1"), ("try", "2")]
    assert len({hostfile for *_, hostfile in tries}) == 3, "every generation has a ring of its own"


def test_it_is_given_up_after_so_many(tmp_path: Path) -> None:
    outcome = run(tmp_path, "--restart", "on-failure", "--max-restarts", "1", *python("print('once'); exit(6)"))
    assert outcome.returncode == 6
    assert outcome.stdout == "once\nonce\n"
    assert outcome.stderr.count("exited with code 6") == 2


def test_never_is_the_default(tmp_path: Path) -> None:
    assert run(tmp_path, *python("print('once'); exit(6)")).stdout == "once\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_always_also_starts_after_a_success_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, ["--restart", "always", "--", "echo", "again"]) as process:
        assert read_lines(process, 3) == ["again"] * 3
        process.send_signal(number)
        code, _, stderr = end(process)
    assert code in (128 + number, 0), stderr
    assert "Traceback" not in stderr


def test_a_program_that_disappears_between_two_starts(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nrm "$0"\nexit 1\n')
    program.chmod(0o700)
    outcome = run(tmp_path, "--restart", "on-failure", "--", str(program))
    assert outcome.returncode == 127
    assert "command not found" in outcome.stderr.splitlines()[-1]
