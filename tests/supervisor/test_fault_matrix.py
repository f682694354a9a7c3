"""Every fault in every phase: one truthful end per task, the rank named, nothing left behind, serving again."""

from pathlib import Path
from typing import Any

import pytest

from diagnostics.cause import Cause
from supervisor.core.lifecycle import LifecycleLimits
from tests.supervisor.group_harness import RunningGroup, is_gone, listen, running_group, the_error
from transports.messages import SamplingParameters, TaskFinished

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]

RING_ABORT = "[ring] Too many send/recv errors. Aborting..."
SHORT = SamplingParameters(temperature=0.0, max_tokens=5)

# A name, what is done in order, and the cause that must be named.
DEATHS: list[tuple[str, list[dict[str, Any]], Cause]] = [
    ("raise", [{"action": "raise"}], Cause.PYTHON_EXCEPTION_OTHER),
    ("raise out of memory", [{"action": "raise", "exception": "MemoryError"}], Cause.PYTHON_EXCEPTION_OTHER),
    ("raise a recursion error", [{"action": "raise", "exception": "RecursionError"}], Cause.PYTHON_EXCEPTION_OTHER),
    ("raise what cannot be printed", [{"action": "raise", "exception": "unprintable"}], Cause.PYTHON_EXCEPTION_OTHER),
    ("sys.exit(0)", [{"action": "sys_exit", "exit_code": 0}], Cause.PYTHON_EXCEPTION_OTHER),
    ("_exit(0)", [{"action": "exit", "exit_code": 0}], Cause.EXITED_EARLY),
    ("_exit(3)", [{"action": "exit", "exit_code": 3}], Cause.UNKNOWN),
    ("SIGSEGV", [{"action": "sigsegv"}], Cause.SEGFAULT),
    ("abort", [{"action": "sigabrt"}], Cause.ABORT_OTHER),
    ("abort after a ring line", [{"action": "sigabrt", "line": RING_ABORT}], Cause.RING_ABORT),
    ("SIGKILL", [{"action": "sigkill"}], Cause.KILLED_NO_STDERR),
    ("SIGKILL in the middle of a frame", [{"action": "half_frame"}, {"action": "sigkill"}], Cause.KILLED_NO_STDERR),
    ("SIGKILL after a flood", [{"action": "flood"}, {"action": "sigkill"}], Cause.KILLED_NO_STDERR),
    ("abort after a long line", [{"action": "long_line"}, {"action": "sigabrt"}], Cause.ABORT_OTHER),
    ("SIGKILL without stderr", [{"action": "close_stderr"}, {"action": "sigkill"}], Cause.KILLED_NO_STDERR),
    ("SIGKILL, a grandchild stays", [{"action": "grandchild"}, {"action": "sigkill"}], Cause.KILLED_NO_STDERR),
    ("deaf, then raise", [{"action": "ignore_signals"}, {"action": "raise"}], Cause.PYTHON_EXCEPTION_OTHER),
    ("garbage frame", [{"action": "garbage_frame"}, {"action": "hang"}], Cause.PROTOCOL_VIOLATION),
    ("oversized frame", [{"action": "oversized_frame"}, {"action": "hang"}], Cause.PROTOCOL_VIOLATION),
    ("frame of an old generation", [{"action": "wrong_generation"}, {"action": "hang"}], Cause.PROTOCOL_VIOLATION),
    ("frame out of turn", [{"action": "wrong_sequence"}, {"action": "hang"}], Cause.PROTOCOL_VIOLATION),
    ("deaf and garbage", [{"action": "ignore_signals"}, {"action": "garbage_frame"}, {"action": "hang"}],
     Cause.PROTOCOL_VIOLATION),
    ("fatal line, no exit", [{"action": "print_line", "line": RING_ABORT}, {"action": "hang"}], Cause.RING_ABORT),
]  # fmt: skip
HANGS: list[tuple[str, list[dict[str, Any]]]] = [
    ("stopped", [{"action": "sigstop"}]),
    ("hung", [{"action": "hang"}]),
    ("GIL held in C", [{"action": "hold_gil"}]),
]
NOISE: list[tuple[str, list[dict[str, Any]]]] = [
    ("flood", [{"action": "flood", "count": 4}]),
    ("200 KB without a newline", [{"action": "long_line"}]),
    ("split UTF-8", [{"action": "split_utf8"}]),
    ("stderr closed", [{"action": "close_stderr"}]),
    ("a grandchild with the pipes", [{"action": "grandchild", "seconds": 60}]),
    ("a benign line", [{"action": "print_line", "line": "Fetching 9 files: 100%"}]),
]
STARTING = ("import", "connect", "load", "warm_up")


def placed(actions: list[dict[str, Any]], *, at: str, rank: int, step: int = 0) -> list[dict[str, Any]]:
    return [{"at": at, "rank": rank, "step": step, **action} for action in actions]


# These take different ways through the supervisor: an exception, a clean exit, a crash, a kill, a broken protocol.
EVERYWHERE = frozenset({"raise", "_exit(0)", "SIGSEGV", "SIGKILL", "garbage frame"})


def crossed(argument_names: str, cases: list[Any], places: list[tuple[str, Any]]) -> Any:
    """Every case, and every place, at least once; all cases at all places with `scripts/soak`."""

    def marks(index: int, name: str, place: int) -> list[pytest.MarkDecorator]:
        return [] if name in EVERYWHERE or index % len(places) == place else [pytest.mark.soak]

    parameters = [
        pytest.param(case, at, id=f"{case[0]}-{label}", marks=marks(index, case[0], place))
        for index, case in enumerate(cases)
        for place, (label, at) in enumerate(places)
    ]
    return pytest.mark.parametrize(argument_names, parameters)


async def assert_blamed_and_serving_again(group: RunningGroup, rank: int, cause: Cause) -> None:
    await group.ready(2)
    (incident,) = group.recorder.incidents.values()
    assert (incident.cause, incident.rank) == (cause, rank), incident
    assert f"ank {rank} " in incident.message
    assert sorted(failed.rank for failed in group.recorder.failed) == [0, 1]
    events = await listen(group.start_task("next", SHORT))
    assert isinstance(events[-1], TaskFinished)


@crossed("case, at", DEATHS, [(at, at) for at in STARTING])
async def test_a_death_while_starting(tmp_path: Path, case: tuple[str, list[dict[str, Any]], Cause], at: str) -> None:
    _, actions, cause = case
    async with running_group(tmp_path, faults=placed(actions, at=at, rank=1)) as group:
        await assert_blamed_and_serving_again(group, 1, cause)


@crossed("case, rank_and_step", DEATHS, [("decode-0", (0, 5)), ("prefill-1", (1, 0)), ("decode-1", (1, 5))])
async def test_a_death_while_serving(
    tmp_path: Path, case: tuple[str, list[dict[str, Any]], Cause], rank_and_step: tuple[int, int]
) -> None:
    _, actions, cause = case
    rank, step = rank_and_step
    async with running_group(tmp_path, faults=placed(actions, at="step", rank=rank, step=step)) as group:
        await group.ready(1)
        pids = group.pids()
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (cause, rank), error.incident
        await assert_blamed_and_serving_again(group, rank, cause)
        assert all(is_gone(pid) for pid in pids.values())


@pytest.mark.soak
@crossed("case, at", HANGS, [(at, at) for at in STARTING])
async def test_a_hang_while_starting(tmp_path: Path, case: tuple[str, list[dict[str, Any]]], at: str) -> None:
    # The rank that waits for the hung one is silent, too: whom the clock ends first is not for this test.
    limits = LifecycleLimits(start_timeout_s=2.0)
    async with running_group(tmp_path, faults=placed(case[1], at=at, rank=1), lifecycle=limits) as group:
        await group.ready(2)
        (incident,) = group.recorder.incidents.values()
        assert incident.cause is Cause.START_TIMEOUT
        assert isinstance((await listen(group.start_task("next", SHORT)))[-1], TaskFinished)


@crossed("case, rank", HANGS, [("0", 0), ("1", 1)])
async def test_a_hang_while_serving(tmp_path: Path, case: tuple[str, list[dict[str, Any]]], rank: int) -> None:
    faults = placed(case[1], at="step", rank=rank, step=5)
    async with running_group(tmp_path, faults=faults, stall_timeout_s=2.0) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert error.incident.cause is Cause.STALLED
        assert rank in (error.incident.rank, *error.incident.suspects)
        await group.ready(2)
        assert isinstance((await listen(group.start_task("next", SHORT)))[-1], TaskFinished)


@crossed("case, at", NOISE, [("load", "load"), ("step", "step")])
async def test_noise_is_no_failure(tmp_path: Path, case: tuple[str, list[dict[str, Any]]], at: str) -> None:
    async with running_group(tmp_path, faults=placed(case[1], at=at, rank=1)) as group:
        await group.ready(1)
        events = await listen(group.start_task("a", SHORT))
        assert isinstance(events[-1], TaskFinished)
        assert group.recorder.failed == []


async def test_a_channel_closed_by_a_living_runner_is_a_violation(tmp_path: Path) -> None:
    faults = placed([{"action": "close_channel"}, {"action": "hang"}], at="step", rank=1, step=5)
    async with running_group(tmp_path, faults=faults) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (Cause.PROTOCOL_VIOLATION, 1)
        await group.ready(2)


async def test_a_grandchild_out_of_reach_delays_nothing(tmp_path: Path) -> None:
    faults = placed([{"action": "daemon", "seconds": 5}, {"action": "sigkill"}], at="step", rank=1, step=5)
    async with running_group(tmp_path, faults=faults) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (Cause.KILLED_NO_STDERR, 1)
        (culprit,) = (certificate for certificate in error.incident.certificates if certificate.rank == 1)
        assert not culprit.drained
        await group.ready(2)


async def test_a_runner_that_dies_over_a_new_request_was_not_waiting_for_work(tmp_path: Path) -> None:
    faults = placed([{"action": "sigkill"}], at="prepare", rank=0)
    async with running_group(tmp_path, faults=faults) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (Cause.KILLED_NO_STDERR, 0)
        assert "while generating" in error.incident.message
        await group.ready(2)
