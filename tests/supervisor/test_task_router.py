"""Tasks and their listeners: one end each, bounded buffers, ids made unique."""

import anyio
import pytest

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.task_router import TaskRouter
from supervisor.task_stream import BufferedTaskStream
from tests.supervisor.group_harness import each_event
from transports.messages import (
    ErrorChunk,
    RejectionCode,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TaskRejected,
    TokenChunk,
)

pytestmark = pytest.mark.anyio
INCIDENT = Incident(
    "inc-0", 0.0, "node", 1, 1, Cause.KILLED_NO_STDERR, Phase.RUNNING, Confidence.CERTAIN, "Rank 1 died.", "", True
)


async def heard(stream: BufferedTaskStream) -> list[TaskEvent]:
    with anyio.fail_after(5):
        return [event async for event in each_event(stream)]


async def test_a_listener_hears_its_own_task_to_its_end() -> None:
    router = TaskRouter()
    first, second = router.open("a"), router.open("b")
    told: list[TaskAccepted | TokenChunk | TaskFinished] = [
        TaskAccepted("a", 2),
        TokenChunk("a", 0, 5, "x"),
        TaskFinished("a", "stop", 2, 1),
    ]
    for event in told:
        assert router.deliver(event)
    router.fail_all(INCIDENT)
    assert await heard(first) == told
    assert await heard(second) == [ErrorChunk("b", INCIDENT, 0)]
    assert len(router) == 0


async def test_the_same_wanted_id_twice_gives_two_tasks() -> None:
    router = TaskRouter()
    assert [router.open("a").task_id for _ in range(3)] == ["a", "a.2", "a.3"]


async def test_a_listener_that_left_is_cancelled_once_and_its_id_stays_taken_until_the_end() -> None:
    router = TaskRouter()
    router.open("a")
    router.deliver(TaskAccepted("a", 1))
    assert router.forget("a")
    assert not router.forget("a")
    assert router.open("a").task_id == "a.2"
    assert router.deliver(TaskFinished("a", "cancelled", 1, 0))
    assert router.open("a").task_id == "a"


async def test_a_task_that_ended_needs_no_cancel() -> None:
    router = TaskRouter()
    router.open("a")
    router.deliver(TaskRejected("a", RejectionCode.INVALID_REQUEST, "no"))
    assert not router.forget("a")


async def test_a_listener_that_does_not_read_is_ended_and_its_runner_told() -> None:
    router = TaskRouter(max_buffered_events=3)
    stream = router.open("a")
    router.deliver(TaskAccepted("a", 1))
    assert router.deliver(TokenChunk("a", 0, 1, "x"))
    assert router.deliver(TokenChunk("a", 1, 1, "x"))
    assert not router.deliver(TokenChunk("a", 2, 1, "x"))
    assert router.deliver(TokenChunk("a", 3, 1, "x"))
    *_, last = await heard(stream)
    assert isinstance(last, TaskRejected)
    assert "read the stream faster" in last.message


async def test_events_of_unknown_tasks_go_nowhere() -> None:
    router = TaskRouter()
    assert router.deliver(TaskAccepted("nobody", 1))
    assert len(router) == 0


async def test_a_withdrawn_task_is_not_in_flight() -> None:
    router = TaskRouter()
    router.open("a")
    router.withdraw("a")
    assert len(router) == 0
    router.fail_all(INCIDENT)
