"""Requests over a real scripted group: their line, their deadlines, their end by id."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.journal.records import NoJournal
from supervisor.local_gateway import LocalGateway
from supervisor.task_stream import BufferedTaskStream
from tests.supervisor.group_harness import ENDLESS, RunningGroup, each_event, eventually, listen, running_group
from transports.http.gateway import Refusal, RefusalCode
from transports.http.request_view import RequestState
from transports.messages import (
    SamplingParameters,
    StopReason,
    TaskEvent,
    TaskFinished,
    TaskQueued,
    TaskStopped,
    TextPrompt,
    TokenChunk,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
PROMPT = TextPrompt("a few words")
SHORT = SamplingParameters(temperature=0.0, max_tokens=3)
NEVER_LOADED = {"layer_interval_s": 60.0}


@asynccontextmanager
async def gateway(
    folder: Path,
    *,
    max_open_tasks: int = 64,
    admission_wait_s: float = 30.0,
    request_timeout_s: float | None = None,
    **arguments: Any,
) -> AsyncGenerator[tuple[LocalGateway, RunningGroup]]:
    async with running_group(folder, world_size=1, backend="none", **arguments) as group:
        yield (
            LocalGateway(
                group.supervisor,
                RecentIncidents(NoJournal(), folder / "journal.db"),
                max_open_tasks=max_open_tasks,
                admission_wait_s=admission_wait_s,
                request_timeout_s=request_timeout_s,
            ),
            group,
        )


async def first_of(stream: BufferedTaskStream, kind: type[TaskEvent]) -> TaskEvent:
    with anyio.fail_after(30):
        async for event in each_event(stream):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


async def test_those_beyond_the_places_hear_their_positions_and_move_up(tmp_path: Path) -> None:
    async with gateway(tmp_path, max_concurrent_tasks=1) as (gate, _), AsyncExitStack() as stack:
        first = await stack.enter_async_context(gate.submit("scripted", PROMPT, ENDLESS, "first"))
        await first_of(first, TokenChunk)
        second = await stack.enter_async_context(gate.submit("scripted", PROMPT, SHORT, "second", metadata={"a": "b"}))
        third = await stack.enter_async_context(gate.submit("scripted", PROMPT, SHORT, "third"))
        assert await first_of(second, TaskQueued) == TaskQueued("second", 1, 1)
        assert await first_of(third, TaskQueued) == TaskQueued("third", 2, 2)
        views = gate.requests()
        assert [(view.id, view.state, view.position, view.waiting) for view in views] == [
            ("first", RequestState.DECODE, None, None),
            ("second", RequestState.QUEUED, 1, 2),
            ("third", RequestState.QUEUED, 2, 2),
        ]
        assert views[0].tokens > 0
        assert views[1].metadata == {"a": "b"}
        assert gate.cancel("first") is not None
        assert await first_of(third, TaskQueued) == TaskQueued("third", 1, 1)
        assert isinstance((await listen(second))[-1], TaskFinished)
        assert isinstance((await listen(third))[-1], TaskFinished)


async def test_a_request_cancelled_by_its_id_ends_once_and_its_runner_lets_go(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (gate, group), gate.submit("scripted", PROMPT, ENDLESS, "req-1") as stream:
        await first_of(stream, TokenChunk)
        cancelled = gate.cancel("req-1")
        assert cancelled is not None
        assert cancelled.tokens_emitted > 0
        assert gate.cancel("req-1") is None
        assert gate.requests() == ()
        events = await listen(stream)
        assert isinstance(events[-1], TaskStopped)
        assert (events[-1].reason, events[-1].tokens_emitted) == (
            StopReason.REQUEST_CANCELLED,
            cancelled.tokens_emitted,
        )
        await eventually(lambda: len(group.supervisor.tasks) == 0, "the runner has let go of it")
        assert gate.cancel("unknown") is None


async def test_a_deadline_ends_a_task_and_the_shorter_one_counts(tmp_path: Path) -> None:
    async with gateway(tmp_path, request_timeout_s=0.2) as (gate, group):
        await group.ready(1)
        async with gate.submit("scripted", PROMPT, ENDLESS, "req-1", timeout_s=60.0) as stream:
            (view,) = (one for one in gate.requests() if one.id == "req-1")
            assert view.remaining_s is not None
            assert view.remaining_s <= 0.2
            end = (await listen(stream))[-1]
            assert isinstance(end, TaskStopped)
            assert end.reason is StopReason.DEADLINE_EXCEEDED
            assert "0.2 s" in end.message
        await eventually(lambda: len(group.supervisor.tasks) == 0, "the runner has let go of it")


async def test_a_deadline_ends_the_wait_for_a_group(tmp_path: Path) -> None:
    async with gateway(tmp_path, script=NEVER_LOADED) as (gate, _):
        with pytest.raises(Refusal) as caught:
            async with gate.submit("scripted", PROMPT, SHORT, "req-1", timeout_s=0.05):
                pass
        assert caught.value.code is RefusalCode.DEADLINE_EXCEEDED
        assert "0.05 s" in caught.value.message
        assert gate.requests() == ()


async def test_who_waits_for_a_group_has_a_position_and_can_be_cancelled(tmp_path: Path) -> None:
    refusals: dict[str, Refusal] = {}
    async with gateway(tmp_path, script=NEVER_LOADED) as (gate, _), anyio.create_task_group() as tasks:

        async def ask(name: str) -> None:
            with pytest.raises(Refusal) as caught:
                async with gate.submit("scripted", PROMPT, SHORT, name):
                    pass
            refusals[name] = caught.value

        for name in ("a", "b", "a"):
            tasks.start_soon(ask, name)
        await eventually(lambda: len(gate.requests()) == 3, "all of them wait")
        assert [(view.id, view.position, view.waiting) for view in gate.requests()] == [
            ("a", 1, 3),
            ("b", 2, 3),
            ("a.2", 3, 3),
        ]
        assert gate.figures().queued == 3
        cancelled = gate.cancel("a")
        assert cancelled is not None
        assert cancelled.tokens_emitted == 0
        await eventually(lambda: [view.position for view in gate.requests()] == [1, 2], "the others move up")
        for name in ("b", "a.2"):
            gate.cancel(name)
    assert {refusal.code for refusal in refusals.values()} == {RefusalCode.REQUEST_CANCELLED}


async def test_many_at_once_are_bounded_and_go_in_as_they_came(tmp_path: Path) -> None:
    went_in: list[str] = []
    refused: list[str] = []
    async with gateway(tmp_path, max_open_tasks=20) as (gate, _):

        async def ask(name: str) -> None:
            try:
                async with gate.submit("scripted", PROMPT, SHORT, name) as stream:
                    went_in.append(name)
                    assert isinstance((await listen(stream))[-1], TaskFinished)
            except Refusal as refusal:
                assert refusal.code is RefusalCode.QUEUE_FULL
                assert refusal.retry_after_s is not None
                refused.append(name)

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(ask, str(number))
        assert went_in == [str(number) for number in range(20)]
        assert refused == [str(number) for number in range(20, 30)]
        # Nobody waits any more; the same holds when all come to a group that is ready.
        went_in.clear()
        refused.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(ask, str(number))
        assert went_in == [str(number) for number in range(20)]
        assert len(refused) == 10
