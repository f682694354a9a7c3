"""The guard: kills the groups that were not removed, at the end of its pipe, and nobody else."""

import subprocess
from collections.abc import Iterator

import psutil
import pytest

from supervisor.guard import Guard
from tests.supervisor.conftest import wait_until


@pytest.fixture
def groups() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(3)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_what_is_not_removed_is_killed_and_the_rest_lives(groups: list[subprocess.Popen[bytes]]) -> None:
    left, removed, never_added = groups
    with Guard() as guard:
        guard.add(left.pid)
        guard.add(removed.pid)
        guard.remove(removed.pid)
        assert left.poll() is None
    assert left.wait(timeout=20) == -9
    assert removed.poll() is None
    assert never_added.poll() is None


def test_a_guard_that_was_killed_is_no_error(groups: list[subprocess.Popen[bytes]]) -> None:
    with Guard() as guard:
        (shell,) = (child for child in psutil.Process().children() if child.name() in ("sh", "dash", "bash"))
        shell.kill()
        wait_until(lambda: shell.status() == psutil.STATUS_ZOMBIE, "the guard is dead")
        guard.add(groups[0].pid)
        guard.remove(groups[0].pid)
    assert groups[0].poll() is None
