"""The rows of the journal, and the interface by which others hand them over.

Whoever produces rows knows only `JournalSink`; who wants none of this passes `NoJournal` and pays nothing.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

from diagnostics.incident import Incident

Tags = dict[str, str]


class TaskOutcome(StrEnum):
    """How a task ended."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"


class GenerationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a group. Written when it starts and again when something about it changes.

    Times are seconds since the Unix epoch; `run_id` names the daemon (or `ringwarden run`) that started it.
    """

    run_id: str
    generation: int
    model: str
    world_size: int
    started_at: float
    ready_at: float | None = None
    ended_at: float | None = None
    incident_id: str | None = None


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request or run of a program, from its start to its terminal event. Written at both.

    `outcome` None means that it has not ended, as far as its writer knew: who opens the journal after a writer that was
    killed ends its tasks. `detail` is the finish reason, the rejection, the verdict's sentence, or that kill.
    """

    run_id: str
    task_id: str
    generation: int
    model: str
    started_at: float
    ended_at: float | None = None
    outcome: TaskOutcome | None = None
    detail: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    incident_id: str | None = None
    tags: Tags = {}


class CapturedLog(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank said while it worked on one task, whole unless `dropped_bytes` says otherwise.

    `python_logs` are formatted lines of `logging`; `traceback` is the exception that failed the task, if one did.
    """

    log_id: str
    run_id: str
    task_id: str
    generation: int
    rank: int
    node: str
    started_at: float
    ended_at: float
    success: bool
    stdout: str = ""
    stderr: str = ""
    python_logs: str = ""
    traceback: str = ""
    dropped_bytes: int = 0
    tags: Tags = {}


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the group: a state, a phase, a death. `kind` is a short name, `text` a sentence."""

    run_id: str
    at: float
    kind: str
    text: str
    generation: int | None = None
    rank: int | None = None
    task_id: str | None = None
    incident_id: str | None = None


Record = Incident | GenerationRecord | TaskRecord | CapturedLog | EventRecord


class JournalSink(Protocol):
    """Takes records. Callable from any thread; never blocks on a disk and never raises because of one."""

    def write(self, record: Record) -> None:
        """Keep a record; a later one with the same key replaces it."""


class NoJournal:
    """A `JournalSink` that keeps nothing."""

    def write(self, record: Record) -> None:
        """Do nothing."""
