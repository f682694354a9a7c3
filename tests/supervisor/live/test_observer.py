"""A real group of scripted runners lives and dies, and everything that is worth seeing is told as it happens."""

from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
import pytest

from supervisor.core.restart import RestartLimits
from supervisor.live.hub import LiveHub
from supervisor.live.observer import LiveObserver
from supervisor.observation import Observation
from tests.supervisor.group_harness import running_group
from transports.http.gateway import GroupState
from transports.live import (
    LIVE_EVENT_NAMES,
    IncidentSeen,
    LiveEvent,
    OutputLine,
    PhaseChanged,
    RankDied,
    RequestEnded,
    StateChanged,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
DECODER = msgspec.json.Decoder(LiveEvent)
Kind = TypeVar("Kind")


async def test_a_death_is_told_from_the_last_line_to_the_recovery(tmp_path: Path) -> None:
    hub = LiveHub()
    listener = hub.listen(0, frozenset(LIVE_EVENT_NAMES))
    observer = LiveObserver(hub)
    faults: list[dict[str, Any]] = [
        {"action": "print_line", "rank": 1, "step": 2, "line": "the last words"},
        {"action": "sigkill", "rank": 1, "step": 3},
    ]
    async with running_group(
        tmp_path,
        faults=faults,
        watching=[observer],
        observation=Observation("run-1", observers=[observer]),
        restart=RestartLimits(first_delay_s=0.05),
    ) as group:
        await group.ready(1)
        group.start_task("req-1")
        await group.ready(2)
        with anyio.fail_after(10):
            events: list[LiveEvent] = []
            while not any(_recovered(event) for event in events):
                events += [DECODER.decode(event.data) for event in await listener.take(5.0) or ()]

    states = [event.state for event in _only(events, StateChanged)]
    assert states == [GroupState.READY, GroupState.RESTARTING, GroupState.READY]
    assert {event.rank for event in _only(events, PhaseChanged)} == {0, 1}
    last_words = next(event for event in _only(events, OutputLine) if "the last words" in event.text)
    assert (last_words.rank, last_words.stream, last_words.tasks) == (1, "stderr", ("req-1",))
    first = _only(events, RankDied)[0]
    assert (first.rank, first.generation, first.cause.value) == (1, 1, "killed_no_stderr")
    (ended,) = _only(events, RequestEnded)
    assert (ended.task_id, ended.outcome) == ("req-1", "failed")
    incidents = [event.incident for event in _only(events, IncidentSeen)]
    assert {incident.incident_id for incident in incidents} == {first.incident_id} == {ended.incident_id}
    assert incidents[0].rank == 1
    assert all(not one.stderr_tail and one.memory is None for one in incidents[-1].certificates)


def _recovered(event: LiveEvent) -> bool:
    return isinstance(event, IncidentSeen) and event.incident.recovered_after_s is not None


def _only(events: list[LiveEvent], kind: type[Kind]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]
