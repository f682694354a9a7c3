"""Signals to `ringwarden run`: passed on to the ranks, and nothing is left whatever kills it."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.supervisor.conftest import wait_until
from tests.supervisor.run.program import descendants, end, python, read_lines, started

SAYS_WHAT_IT_GETS = """
import signal, sys, time
def tell(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number != signal.SIGUSR1 and number != signal.SIGUSR2:
        sys.exit(0)
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(one, tell)
print("up", flush=True)
while True:
    time.sleep(600)
"""
IGNORES = """
import signal, time
for one in (signal.SIGINT, signal.SIGTERM):
    signal.signal(one, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_reaches_every_rank_and_a_clean_end_is_a_success(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, ["-n", "2", *python(SAYS_WHAT_IT_GETS)]) as process:
        assert sorted(read_lines(process, 2)) == ["[0] up", "[1] up"]
        process.send_signal(number)
        code, stdout, stderr = end(process)
    assert sorted(stdout.splitlines()) == [f"[0] {number.name}", f"[1] {number.name}"]
    assert (code, stderr) == (0, "")


def test_the_users_signals_are_passed_on_and_end_nothing(tmp_path: Path) -> None:
    with started(tmp_path, [*python(SAYS_WHAT_IT_GETS)]) as process:
        assert read_lines(process, 1) == ["up"]
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            process.send_signal(number)
            assert read_lines(process, 1) == [number.name]
        assert process.poll() is None


def test_a_program_that_dies_of_the_signal_says_so(tmp_path: Path) -> None:
    with started(tmp_path, ["-n", "2", "--", "sleep", "600"]) as process:
        wait_for_ranks(process, 2)
        process.send_signal(signal.SIGTERM)
        code, _, stderr = end(process)
    assert (code, stderr) == (143, "ringwarden: ended by SIGTERM, which was passed on to the ranks.\n")


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with started(tmp_path, ["-n", "2", *python(IGNORES)]) as process:
        assert sorted(read_lines(process, 2)) == ["[0] up", "[1] up"]
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals that come together are one
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        code, _, stderr = end(process)
    assert code == 137
    assert "SIGINT" in stderr


def test_when_it_is_killed_the_ranks_are_gone_within_a_second(tmp_path: Path) -> None:
    with started(tmp_path, ["-n", "2", *python(IGNORES)]) as process:
        assert sorted(read_lines(process, 2)) == ["[0] up", "[1] up"]
        family = descendants(process.pid)
        assert len(family) == 3, "two ranks and the guard"
        process.kill()
        wait_until(lambda: not any(alive(one) for one in family), "ranks and guard are gone", 5.0)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_ranks(process: subprocess.Popen[bytes], count: int) -> list[psutil.Process]:
    def sleepers() -> list[psutil.Process]:
        return [one for one in descendants(process.pid) if alive(one) and one.name() == "sleep"]

    wait_until(lambda: len(sleepers()) == count, f"{count} ranks run")
    return sleepers()


def test_a_rank_that_is_killed_from_outside_is_named(tmp_path: Path) -> None:
    with started(tmp_path, ["-n", "3", "--", "sleep", "600"]) as process:
        _, victim, _ = sorted(wait_for_ranks(process, 3), key=lambda one: one.pid)
        victim.kill()
        code, _, stderr = end(process)
    assert code == 137
    assert stderr.startswith("ringwarden: Rank 1 was killed by SIGKILL from outside Ringwarden")
