"""Tasks and their listeners: one end each, bounded buffers, ids made unique."""

from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.task_router import TaskRouter
from supervisor.task_stream import BufferedTaskStream
from tests.supervisor.group_harness import each_event
from transports.messages import (
    TERMINAL_EVENTS,
    ErrorChunk,
    RejectionCode,
    StopReason,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TaskQueued,
    TaskRejected,
    TaskStopped,
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


async def test_a_stopped_task_ends_at_once_for_its_listener_and_its_id_stays_taken_until_the_runner_lets_go() -> None:
    ended: list[TaskEvent] = []

    def on_end(event: Any) -> Any:
        ended.append(event)
        return event

    router = TaskRouter(on_end=on_end)
    stream = router.open("a")
    router.deliver(TaskAccepted("a", 1))
    router.deliver(TokenChunk("a", 0, 5, "x"))
    stopped = router.stop("a", StopReason.REQUEST_CANCELLED, "enough")
    assert stopped == TaskStopped("a", StopReason.REQUEST_CANCELLED, "enough", 1)
    assert (await heard(stream))[-1] == stopped
    assert router.stop("a", StopReason.REQUEST_CANCELLED, "again") is None
    assert not router.forget("a")
    assert router.open("a").task_id == "a.2"
    assert router.deliver(TokenChunk("a", 1, 5, "late"))
    assert router.deliver(TaskFinished("a", "cancelled", 1, 2))
    assert router.open("a").task_id == "a"
    assert ended == [stopped]


async def test_only_the_newest_position_is_kept_for_a_reader_who_is_slow() -> None:
    router = TaskRouter()
    stream = router.open("a")
    router.deliver(TaskAccepted("a", 1))
    for position in (3, 2, 1):
        router.tell(TaskQueued("a", position, 3))
    assert await stream.take() == [TaskAccepted("a", 1), TaskQueued("a", 1, 3)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["open", "accept", "token", "finish", "reject", "stop", "forget", "queued", "fail_all"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_whoever_ends_a_task_it_ends_once(steps: list[tuple[str, str]]) -> None:
    ends: Counter[str] = Counter()

    def on_end(event: Any) -> Any:
        ends[event.task_id] += 1
        return event

    router = TaskRouter(on_end=on_end)
    streams: list[BufferedTaskStream] = []
    opened: Counter[str] = Counter()
    for task_id, step in [*steps, ("", "fail_all")]:
        match step:
            case "open" if task_id not in router:
                streams.append(router.open(task_id))
                opened[task_id] += 1
            case "accept":
                router.deliver(TaskAccepted(task_id, 1))
            case "token":
                before = router.get(task_id)
                router.deliver(TokenChunk(task_id, before.tokens_emitted if before else 0, 5, "x"))
            case "finish":
                router.deliver(TaskFinished(task_id, "stop", 1, 0))
            case "reject":
                router.deliver(TaskRejected(task_id, RejectionCode.INVALID_REQUEST, "no"))
            case "stop":
                router.stop(task_id, StopReason.DEADLINE_EXCEEDED, "over")
            case "forget":
                router.forget(task_id)
            case "queued":
                router.tell(TaskQueued(task_id, 1, 1))
            case "fail_all":
                router.fail_all(INCIDENT)
            case _:
                pass
    assert ends == opened
    assert len(router) == 0
    assert router.heard_ids() == ()
    for stream in streams:
        kept = stream._buffer  # pyright: ignore[reportPrivateUsage] - what a reader would be given
        assert sum(isinstance(event, TERMINAL_EVENTS) for event in kept) <= 1
        assert not any(isinstance(event, TERMINAL_EVENTS) for event in kept[:-1])
