"""Events in bounded memory: whoever is slow is told what is gone, and nobody else notices."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import msgspec
import pytest

from diagnostics.phase import Phase
from supervisor.live.hub import LiveHub
from transports.http.gateway import GroupState
from transports.live import (
    LIVE_EVENT_NAMES,
    EncodedEvent,
    LiveEvent,
    Missed,
    OutputLine,
    PhaseChanged,
    RecordedEvent,
    StateChanged,
    TooManyListeners,
)

pytestmark = pytest.mark.anyio
ALL = frozenset(LIVE_EVENT_NAMES)
DECODER = msgspec.json.Decoder(LiveEvent)


def phase(rank: int) -> PhaseChanged:
    return PhaseChanged(1.0, rank, Phase.READY, 1)


def line(text: str) -> OutputLine:
    return OutputLine(1.0, 0, "stderr", text, (), "none")


def hub(*events: RecordedEvent, **limits: int) -> LiveHub:
    made = LiveHub(clock=lambda: 1_000.0, **limits)
    for event in events:
        made.publish(event)
    return made


def decoded(events: Sequence[EncodedEvent] | None) -> list[LiveEvent]:
    assert events is not None
    return [DECODER.decode(event.data) for event in events]


async def taken(subject: LiveHub, since: int | None, names: frozenset[str] = ALL) -> list[EncodedEvent]:
    return list(await subject.listen(since, names).take(0.0) or ())


async def test_everything_that_is_kept_comes_in_order_with_growing_ids() -> None:
    subject = hub(phase(0), line("a"), phase(1))
    events = await taken(subject, 0)
    assert decoded(events) == [phase(0), line("a"), phase(1)]
    assert [event.event_id for event in events] == [1_000_000_001, 1_000_000_002, 1_000_000_003]
    assert [event.name for event in events] == ["PhaseChanged", "OutputLine", "PhaseChanged"]


async def test_who_comes_back_gets_what_came_meanwhile() -> None:
    subject = hub(phase(0), line("a"), phase(1))
    assert decoded(await taken(subject, 1_000_000_001)) == [line("a"), phase(1)]
    assert await taken(subject, 1_000_000_003) == []
    assert await taken(subject, None) == []


async def test_a_flood_of_lines_displaces_only_lines_and_says_how_many() -> None:
    subject = hub(phase(0), *(line(str(number)) for number in range(10)), max_lines=4)
    assert decoded(await taken(subject, 0)) == [Missed(6), phase(0), *(line(str(number)) for number in range(6, 10))]
    assert decoded(await taken(subject, 1_000_000_001)) == [Missed(6), *(line(str(number)) for number in range(6, 10))]
    assert decoded(await taken(subject, 1_000_000_001, frozenset({"PhaseChanged"}))) == []
    assert decoded(await taken(subject, 0, frozenset({"PhaseChanged"}))) == [phase(0)]


async def test_lines_are_bounded_in_bytes() -> None:
    subject = hub(*(line("x" * 1000) for _ in range(10)), max_line_bytes=4_000)
    assert len(decoded(await taken(subject, 0))) == 1 + 3


async def test_an_id_of_another_run_is_no_gap_that_could_be_counted() -> None:
    subject = hub(phase(0))
    assert decoded(await taken(subject, 999_000_007)) == [Missed(None), phase(0)]
    assert decoded(await taken(subject, 2_000_000_000)) == [Missed(None), phase(0)]


async def test_what_is_missed_is_told_once_however_many_parts_the_rest_comes_in() -> None:
    reasons = [StateChanged(1.0, GroupState.READY, str(number) * 200_000, 1) for number in range(3)]
    subject = hub(*reasons, *(line(str(number)) for number in range(10)), max_lines=4)
    listener = subject.listen(0, ALL)
    told = [event for _ in range(4) for event in decoded(await listener.take(0.0))]
    assert told == [Missed(6), *reasons, *(line(str(number)) for number in range(6, 10))]


async def test_a_listener_falls_behind_alone() -> None:
    subject = hub(max_lines=2)
    slow, quick = subject.listen(None, ALL), subject.listen(None, ALL)
    seen: list[LiveEvent] = []
    for number in range(5):
        subject.publish(line(str(number)))
        seen += decoded(await quick.take(0.0))
    assert seen == [line(str(number)) for number in range(5)]
    assert decoded(await slow.take(0.0)) == [Missed(3), line("3"), line("4")]
    assert await slow.take(0.0) == ()


async def test_what_is_long_comes_in_parts() -> None:
    lines = [line(str(number) * 4_000) for number in range(9)]
    subject = hub(*lines * 20)
    listener = subject.listen(0, ALL)
    parts = [decoded(await listener.take(0.0)) for _ in range(3)]
    assert [one for part in parts for one in part] == lines * 20
    assert all(0 < len(part) < 180 for part in parts)


async def test_waiting_ends_with_an_event_and_with_the_service() -> None:
    subject = hub()
    listener = subject.listen(None, ALL)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.lowlevel.checkpoint)
        tasks.start_soon(_publish, subject)
        with anyio.fail_after(5):
            assert decoded(await listener.take(60.0)) == [phase(7)]
    subject.publish(phase(8))
    subject.close()
    assert decoded(await listener.take(60.0)) == [phase(8)]
    assert await listener.take(60.0) is None


async def _publish(subject: LiveHub) -> None:
    subject.publish(phase(7))


async def test_listeners_are_bounded() -> None:
    subject = hub(max_listeners=1)
    first = subject.listen(None, ALL)
    with pytest.raises(TooManyListeners, match="1 programs or pages"):
        subject.listen(None, ALL)
    subject.leave(first)
    subject.leave(first)
    subject.listen(None, ALL)
