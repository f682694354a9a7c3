"""Records to write, with every field settable."""

from typing import Any

import msgspec

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, TaskRecord

RUN = "run-1"


def incident(number: int = 1, **changes: Any) -> Incident:
    """An incident named by its number."""
    made = Incident(
        incident_id=f"inc-{number:04}",
        occurred_at=1000.0 + number,
        node="mac-1",
        rank=1,
        generation=number,
        cause=Cause.KILLED_NO_STDERR,
        phase=Phase.RUNNING,
        confidence=Confidence.CERTAIN,
        message="Rank 1 was killed.",
        advice="Look for who sent it.",
        retryable=True,
    )
    return msgspec.structs.replace(made, **changes)


def generation(number: int = 1, **changes: Any) -> GenerationRecord:
    """A generation of two ranks."""
    made = GenerationRecord(run_id=RUN, generation=number, model="tiny", world_size=2, started_at=1000.0 + number)
    return msgspec.structs.replace(made, **changes)


def task(number: int = 1, **changes: Any) -> TaskRecord:
    """A task that has only begun."""
    made = TaskRecord(run_id=RUN, task_id=f"req-{number}", generation=1, model="tiny", started_at=1000.0 + number)
    return msgspec.structs.replace(made, **changes)


def captured(number: int = 1, **changes: Any) -> CapturedLog:
    """What rank 0 said during a task."""
    made = CapturedLog(
        log_id=f"log-{number}",
        run_id=RUN,
        task_id=f"req-{number}",
        generation=1,
        rank=0,
        node="mac-1",
        started_at=1000.0 + number,
        ended_at=1001.0 + number,
        success=True,
        stderr=f"line of {number}\n",
    )
    return msgspec.structs.replace(made, **changes)


def event(number: int = 1, **changes: Any) -> EventRecord:
    """An event, the number in its text."""
    made = EventRecord(run_id=RUN, at=1000.0 + number, kind="state", text=f"event {number}")
    return msgspec.structs.replace(made, **changes)
