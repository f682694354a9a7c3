"""Loops that share an outage: woken together by a recovery and by a shutdown, one log line, one end of the budget."""

import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from supervisor.cluster.outage_loop import HeadLost, OutageLoop, ShuttingDown
from supervisor.cluster.outage_state import OutageState
from supervisor.core.outage import OutageLimits

pytestmark = pytest.mark.anyio
REFUSED = ConnectionRefusedError(111, "Connection refused")
SAID = "ConnectionRefusedError: [Errno 111] Connection refused"
DEADLINE_S = 10.0
# Far longer than any test may take: who returns sooner was woken.
PATIENT = OutageLimits(budget_s=600.0, delays_s=(300.0,))


def shared(limits: OutageLimits, **more: float) -> tuple[OutageLoop, list[str]]:
    said: list[str] = []
    return OutageLoop(OutageState(limits), said.append, **more), said


async def refuse() -> None:
    raise REFUSED


async def sleepers(loop: OutageLoop, count: int) -> None:
    """Return when so many loops sleep."""
    while loop.waiting < count:  # noqa: ASYNC110 - waiters of other threads set no event of ours
        await anyio.sleep(0.005)


async def outcome(call: Callable[[], Awaitable[object]], ended: list[str]) -> None:
    try:
        await call()
        ended.append("returned")
    except (ShuttingDown, HeadLost) as end:
        ended.append(type(end).__name__)


async def test_a_shutdown_wakes_every_sleeping_loop_at_once_and_their_tasks_end() -> None:
    loop, said = shared(PATIENT)
    ended: list[str] = []
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(outcome, lambda: loop.retry(refuse), ended)
            await sleepers(loop, 50)
            loop.shut_down()
    assert ended == ["ShuttingDown"] * 50
    assert said == [f"Head unreachable — retrying (0s/600s elapsed): {SAID}"]
    assert loop.waiting == 0


async def test_no_loop_sleeps_or_tries_after_a_shutdown() -> None:
    loop, _ = shared(PATIENT)
    loop.failed(REFUSED)
    loop.shut_down()
    with anyio.fail_after(DEADLINE_S):
        for call in (loop.wait, lambda: loop.retry(refuse)):
            with pytest.raises(ShuttingDown):
                await call()


async def test_a_recovery_that_one_loop_sees_wakes_all() -> None:
    loop, said = shared(PATIENT)
    head_answers = False
    ended: list[str] = []

    async def attempt() -> None:
        if not head_answers:
            raise REFUSED

    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(outcome, lambda: loop.retry(attempt), ended)
            await sleepers(loop, 20)
            head_answers = True
            loop.recovered()
    assert ended == ["returned"] * 20
    assert said == [f"Head unreachable — retrying (0s/600s elapsed): {SAID}", "Head reachable again after 0 s"]


async def test_a_new_outage_after_a_recovery_is_said_at_once() -> None:
    loop, said = shared(PATIENT)
    for _ in range(3):
        loop.failed(REFUSED)
        loop.failed(REFUSED)
        loop.recovered()
        loop.recovered()
    assert len(said) == 6


async def test_every_loop_gives_up_when_the_budget_is_used_up() -> None:
    loop, said = shared(OutageLimits(budget_s=0.3, delays_s=(0.1, 300.0)), log_interval_s=0.0)
    ended: list[str] = []
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(outcome, lambda: loop.retry(refuse), ended)
        with pytest.raises(HeadLost) as lost:
            await loop.retry(refuse)
    assert ended == ["HeadLost"] * 10
    assert lost.value.exit_code == 75
    assert "ConnectionRefusedError: [Errno 111] Connection refused" in str(lost.value)
    assert all("\n" not in line for line in (*said, str(lost.value)))


async def test_shutdown_and_recovery_from_other_threads() -> None:
    loop, _ = shared(PATIENT)
    with anyio.fail_after(DEADLINE_S):
        for call, expected in ((loop.recovered, "returned"), (loop.shut_down, "ShuttingDown")):
            loop.failed(REFUSED)
            ended: list[str] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(outcome, loop.wait, ended)
                await sleepers(loop, 1)
                thread = threading.Thread(target=call)
                thread.start()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
            assert ended == [expected]


def test_threads_with_event_loops_of_their_own_share_it_and_really_end() -> None:
    loop, said = shared(PATIENT)
    ended: list[str] = []
    threads = [threading.Thread(target=anyio.run, args=(outcome, lambda: loop.retry(refuse), ended)) for _ in range(6)]
    for thread in threads:
        thread.start()
    anyio.run(sleepers, loop, 6)
    loop.shut_down()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert ended == ["ShuttingDown"] * 6
    assert len(said) == 1


async def test_a_loop_that_the_head_does_not_answer_does_not_spin_while_others_are_answered() -> None:
    loop, _ = shared(PATIENT)
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise REFUSED

    with anyio.move_on_after(0.5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.retry, attempt)
            while True:
                await anyio.sleep(0.001)
                loop.recovered()
    assert 2 <= attempts <= 3


async def test_an_error_that_is_no_outage_passes() -> None:
    loop, said = shared(PATIENT)

    async def broken() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await loop.retry(broken)
    assert said == []


async def test_a_wait_can_be_cancelled_and_leaves_nothing() -> None:
    loop, _ = shared(PATIENT)
    loop.failed(REFUSED)
    with anyio.move_on_after(0.05) as scope:
        await loop.wait()
    assert scope.cancelled_caught
    assert loop.waiting == 0


def test_a_process_that_gave_up_exits_with_75_and_prints_one_line() -> None:
    program = """
import sys, anyio
from supervisor.cluster.outage_loop import HeadLost, OutageLoop
from supervisor.cluster.outage_state import OutageState
from supervisor.core.outage import OutageLimits

async def refuse():
    raise ConnectionRefusedError(111, "Connection refused")

loop = OutageLoop(OutageState(OutageLimits(budget_s=0.1)), lambda line: print(line, file=sys.stderr))
try:
    anyio.run(loop.retry, refuse)
except HeadLost as lost:
    print(lost, file=sys.stderr)
    sys.exit(lost.exit_code)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ended.returncode == 75
    first, last = ended.stderr.splitlines()
    assert first == f"Head unreachable — retrying (0s/0.1s elapsed): {SAID}"
    assert last.endswith("The last error was: ConnectionRefusedError: [Errno 111] Connection refused")
