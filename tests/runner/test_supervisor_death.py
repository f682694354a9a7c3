"""The supervisor dies: the runner is gone, whatever it was doing, and its children with it."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from diagnostics.phase import Phase
from runner.control import EXIT_SUPERVISOR_GONE
from tests.runner.harness import MLX, Group, running
from transports.messages import SamplingParameters, TokenChunk

LONG = SamplingParameters(temperature=0.0, max_tokens=3000, ignore_eos=True)
BOUND_S = 1.0


def time_to_die(group: Group) -> float:
    """Close the supervisor's ends and return how long the last runner lives."""
    started = time.monotonic()
    for runner in group.runners:
        runner.socket.close()
    for runner in group.runners:
        runner.process.wait(20)
    return time.monotonic() - started


@pytest.mark.parametrize("place", ["connect", "load", "warm_up"])
def test_while_starting(place: str) -> None:
    with running(faults=[{"at": place, "action": "hang"}]) as group:
        group.leader.wait_for(lambda: group.leader.phases)
        assert time_to_die(group) < BOUND_S


@pytest.mark.parametrize("ranks", [1, 2])
def test_while_idle(ranks: int) -> None:
    with running(ranks=ranks) as group:
        group.wait_for_phase(Phase.READY)
        assert time_to_die(group) < BOUND_S


@pytest.mark.parametrize("ranks", [1, 2])
def test_while_computing(ranks: int) -> None:
    with running(ranks=ranks) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        group.leader.wait_for(lambda: group.leader.of(TokenChunk))
        assert time_to_die(group) < BOUND_S


def test_while_standing_still_in_python() -> None:
    with running(faults=[{"at": "step", "action": "hang"}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a")
        group.wait_for_phase(Phase.RUNNING)
        assert time_to_die(group) < BOUND_S


def test_while_the_gil_is_held_in_c() -> None:
    faults = [
        {"at": "step", "step": 3, "action": "print_line", "line": "holding on"},
        {"at": "step", "step": 3, "action": "hold_gil", "seconds": 60},
    ]
    with running(faults=faults, dead_man_s=0.6) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        group.leader.wait_for(lambda: "holding on" in group.leader.error_text())
        group.leader.pump(0.2)  # from the line into the C call: nothing to see from outside
        assert time_to_die(group) < 0.6 + 0.5
        assert "hold_gil" in group.leader.dump_text()


def test_a_long_c_call_while_loading_is_no_reason_to_die() -> None:
    faults = [{"at": "load", "action": "hold_gil", "seconds": 1.5}]
    with running(faults=faults, dead_man_s=0.3) as group:
        group.wait_for_phase(Phase.READY)
        assert group.run("a")


def test_children_go_too() -> None:
    with running(faults=[{"at": "step", "action": "grandchild", "seconds": 300}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        group.leader.wait_for(lambda: group.leader.of(TokenChunk))
        group_id = str(group.leader.process.pid)
        assert time_to_die(group) < BOUND_S
        deadline = time.monotonic() + 5
        while members(group_id):
            assert time.monotonic() < deadline, members(group_id)


def members(group_id: str) -> list[str]:
    """Processes of a group that are not zombies."""
    lines = subprocess.run(["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in lines.splitlines()]
    return [row[2] for row in rows if row[0] == group_id and not row[1].startswith("Z")]


def test_a_runner_outside_a_group_of_its_own_ends_only_itself() -> None:
    # Started by hand in somebody's group, it must not kill that group.
    import socket
    import sys

    from tests.runner.harness import PROJECT

    ours, theirs = socket.socketpair()
    descriptor = str(theirs.fileno())
    arguments = ["--rank", "0", "--generation", "1", "--channel-fd", descriptor, "--dump-fd", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments], pass_fds=(theirs.fileno(),), cwd=PROJECT, env={**os.environ}
    )
    theirs.close()
    assert ours.recv(1)
    ours.close()
    assert process.wait(20) == EXIT_SUPERVISOR_GONE


@pytest.mark.mlx
@pytest.mark.soak
def test_with_mlx_on_two_ranks(model: Path) -> None:
    with running(ranks=2, engine=MLX, model=str(model)) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        group.leader.wait_for(lambda: group.leader.of(TokenChunk))
        assert time_to_die(group) < BOUND_S


@pytest.mark.mlx
def test_while_mlx_waits_for_a_rank_that_never_comes(model: Path) -> None:
    with running(ranks=2, engine=MLX, model=str(model)) as group:
        group.runners[1].process.kill()
        group.leader.wait_for_phase(Phase.CONNECTING)
        group.leader.wait_for(lambda: "libmlx" in open_files(group.leader.process.pid))
        assert time_to_die(group) < BOUND_S


def open_files(pid: int) -> str:
    """What a process has mapped, as far as the system tells."""
    return Path(f"/proc/{pid}/maps").read_text() if Path("/proc").is_dir() else "libmlx"
