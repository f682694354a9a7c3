"""Events as rows that are alike, wherever they come from: a daemon that runs, or the journal of one that did. Pure."""

from enum import StrEnum
from typing import assert_never

import msgspec
from rich.text import Text

from supervisor.cli.incident_story import local_time
from supervisor.cli.terminal import shown
from supervisor.journal.records import EventRecord, TaskOutcome, TaskRecord
from transports import live


class EventType(StrEnum):
    """What `events --type` takes."""

    STATE = "state"
    PHASE = "phase"
    DEATH = "death"
    INCIDENT = "incident"
    RECOVERED = "recovered"
    REQUEST = "request"
    OUTPUT = "output"
    MISSED = "missed"


USUAL_TYPES = frozenset(EventType) - {EventType.OUTPUT}
"""What is shown when nobody asks for anything: output is for `logs`."""

LIVE_NAMES: dict[EventType, tuple[str, ...]] = {
    EventType.STATE: (live.StateChanged.__name__,),
    EventType.PHASE: (live.PhaseChanged.__name__,),
    EventType.DEATH: (live.RankDied.__name__,),
    EventType.INCIDENT: (live.IncidentSeen.__name__,),
    EventType.RECOVERED: (live.IncidentSeen.__name__,),
    EventType.REQUEST: (live.RequestEnded.__name__,),
    EventType.OUTPUT: (live.OutputLine.__name__, live.OutputSkipped.__name__),
    EventType.MISSED: (live.Missed.__name__,),
}


class EventRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event as `events --json` prints it. `at` is seconds since the Unix epoch, `id` what `/events` calls it."""

    at: float
    type: EventType
    text: str
    generation: int | None = None
    rank: int | None = None
    node: str | None = None
    task_id: str | None = None
    incident_id: str | None = None
    id: int | None = None


class LiveRows:
    """Turns a daemon's events into rows. Later versions of an incident are no news, except that it is over."""

    def __init__(self) -> None:
        self._recovered: dict[str, bool] = {}

    def row(self, event: live.RecordedEvent | live.Missed, event_id: int | None, now: float) -> EventRow | None:
        """Return the row of an event; None when it tells nothing new."""
        match event:
            case live.StateChanged(at, state, reason, generation):
                text = f"group is {state.value}{f': {reason}' if reason else ''}"
                return EventRow(at=at, type=EventType.STATE, text=text, generation=generation, id=event_id)
            case live.PhaseChanged(at, rank, phase, generation):
                text = f"rank {rank} is {phase.value}"
                return EventRow(at=at, type=EventType.PHASE, text=text, generation=generation, rank=rank, id=event_id)
            case live.RankDied():
                return EventRow(
                    at=event.at,
                    type=EventType.DEATH,
                    text=event.message,
                    generation=event.generation,
                    rank=event.rank,
                    node=event.node,
                    incident_id=event.incident_id,
                    id=event_id,
                )
            case live.IncidentSeen():
                return self._incident(event, event_id)
            case live.OutputLine(at, rank, stream, text, tasks):
                told = f"[rank {rank} {stream}] {text}"
                task = tasks[0] if len(tasks) == 1 else None
                return EventRow(at=at, type=EventType.OUTPUT, text=told, rank=rank, task_id=task, id=event_id)
            case live.OutputSkipped(at, rank, stream, skipped_bytes):
                told = f"[rank {rank} {stream}] {skipped_bytes} bytes more, see the raw logs"
                return EventRow(at=at, type=EventType.OUTPUT, text=told, rank=rank, id=event_id)
            case live.RequestEnded():
                return _request(event, event_id)
            case live.Missed(events):
                count = "events" if events is None else f"{events} events" if events != 1 else "1 event"
                return EventRow(at=now, type=EventType.MISSED, text=f"{count} passed that were not seen here")
            case _:
                assert_never(event)

    def _incident(self, event: live.IncidentSeen, event_id: int | None) -> EventRow | None:
        incident = event.incident
        is_over = incident.recovered_after_s is not None
        if self._recovered.get(incident.incident_id) is is_over:
            return None
        self._recovered[incident.incident_id] = is_over
        text = incident.message if not is_over else f"serving again after {incident.recovered_after_s:.2f} s"
        return EventRow(
            at=event.at,
            type=EventType.RECOVERED if is_over else EventType.INCIDENT,
            text=text,
            generation=incident.generation,
            rank=None if is_over else incident.rank,
            incident_id=incident.incident_id,
            id=event_id,
        )


def kept_row(record: EventRecord) -> EventRow | None:
    """Return the row of an event in the journal; None for a kind that is not ours to tell."""
    if record.kind not in list(EventType):
        return None
    return EventRow(
        at=record.at,
        type=EventType(record.kind),
        text=record.text,
        generation=record.generation,
        rank=record.rank,
        task_id=record.task_id,
        incident_id=record.incident_id,
    )


def task_row(task: TaskRecord) -> EventRow | None:
    """Return the row of a request in the journal; None while it has not ended."""
    if task.outcome is None or task.ended_at is None:
        return None
    return EventRow(
        at=task.ended_at,
        type=EventType.REQUEST,
        text=_ending(task.outcome, task.ended_at - task.started_at, task.completion_tokens, task.detail),
        generation=task.generation,
        task_id=task.task_id,
        incident_id=task.incident_id,
    )


def row_text(row: EventRow) -> Text:
    """Return a row for people."""
    styles = {EventType.DEATH: "red", EventType.INCIDENT: "bold red", EventType.RECOVERED: "green"}
    style = styles.get(row.type, "yellow" if row.type is EventType.MISSED else "")
    names = "".join(f"  {name}" for name in (row.task_id, row.incident_id) if name)
    return Text.assemble(
        shown(f"{local_time(row.at)}  ", "dim"),
        shown(f"{row.type.value:<9}  ", style or "cyan"),
        shown(row.text, style),
        shown(names, "dim"),
    )


def _request(event: live.RequestEnded, event_id: int | None) -> EventRow:
    return EventRow(
        at=event.at,
        type=EventType.REQUEST,
        text=_ending(event.outcome, event.at - event.started_at, event.completion_tokens, event.detail),
        task_id=event.task_id,
        incident_id=event.incident_id,
        id=event_id,
    )


def _ending(outcome: str, took_s: float, tokens: int | None, detail: str | None) -> str:
    facts = [f"request {outcome} after {took_s:.1f} s"]
    if tokens is not None:
        facts.append(f"{tokens} token{'' if tokens == 1 else 's'}")
    if detail and outcome != TaskOutcome.FINISHED:
        facts.append(detail)
    return ", ".join(facts)
