"""Everything that the ranks say about one task, until the last of them has nothing more to say. Pure."""

import logging
from collections.abc import Sequence

import msgspec

from diagnostics.incident import DeathCertificate
from supervisor.capture.bounded_text import BoundedText
from supervisor.journal.records import CapturedLog, TaskOutcome, TaskRecord
from transports.messages import ErrorChunk, RejectionCode, TaskFinished, TaskRejected, TaskStopped
from transports.output_events import OutputStream, TaskLog, TaskOutputEnded

STREAMS: tuple[OutputStream, OutputStream] = ("stdout", "stderr")
Reached = dict[tuple[int, OutputStream], int]
"""By rank and stream, the number of the last marker that was read."""


class CaptureLimits(msgspec.Struct, frozen=True):
    """`max_text_bytes` bounds each text of each record; `settle_s` is how long a task's last output is waited for."""

    max_text_bytes: int = 128 * 1024
    settle_s: float = 1.0


class _RankCapture:
    def __init__(self, max_text_bytes: int) -> None:
        self.streams = {stream: BoundedText(max_text_bytes) for stream in STREAMS}
        self.logs = BoundedText(max_text_bytes)
        self.traceback = ""
        self.ends_at_serial: int | None = None
        self.is_gone = False

    @property
    def is_empty(self) -> bool:
        texts = (*self.streams.values(), self.logs)
        return not any(texts) and not self.traceback


class TaskCapture:
    """One task. It is complete when it has ended and every rank has said its last word about it, or is gone.

    A rank's last word comes in three ways, in any order: `TaskOutputEnded` on its channel, and the marker that this
    names in each of its streams.

    Args:
        record: The task as it began.
        log_id: What the ids of its records begin with; unique.
        nodes: Where its ranks run, by rank.
        reached: How far the ranks' streams were read; kept up to date by its owner.
        limits: The bounds.
    """

    def __init__(
        self,
        record: TaskRecord,
        log_id: str,
        *,
        nodes: Sequence[str],
        reached: Reached,
        limits: CaptureLimits,
    ) -> None:
        self.record = record
        self._log_id = log_id
        self.ends_by: float | None = None
        self._nodes = tuple(nodes)
        self._reached = reached
        self._limits = limits
        self._ranks = [_RankCapture(limits.max_text_bytes) for _ in nodes]

    @property
    def is_complete(self) -> bool:
        """Whether the records can be made."""
        return self.ends_by is not None and all(map(self._has_said_all, range(len(self._ranks))))

    def _has_said_all(self, number: int) -> bool:
        rank = self._ranks[number]
        if rank.is_gone:
            return True
        read_to = min(self._reached.get((number, stream), 0) for stream in STREAMS)
        return rank.ends_at_serial is not None and read_to >= rank.ends_at_serial

    def add_output(self, rank: int, stream: OutputStream, data: bytes) -> None:
        """A rank wrote something that belongs to the task."""
        self._ranks[rank].streams[stream].add(data)

    def add_log(self, rank: int, event: TaskLog) -> None:
        """A rank logged a record."""
        lines = f"{logging.getLevelName(event.level)} {event.logger}: {event.message}\n"
        if event.traceback:
            lines += event.traceback.rstrip("\n") + "\n"
        self._ranks[rank].logs.add(lines.encode("utf-8", "replace"))

    def add_traceback(self, rank: int, traceback: str) -> None:
        """A rank failed because of an exception."""
        self._ranks[rank].traceback = traceback

    def add_death(self, certificate: DeathCertificate) -> None:
        """A rank died; its exception is the traceback, when it was one."""
        if certificate.termination_error is not None:
            self.add_traceback(certificate.rank, certificate.termination_error.traceback)

    def output_ended(self, rank: int, event: TaskOutputEnded) -> None:
        """A rank said its last word on the channel."""
        self._ranks[rank].ends_at_serial = event.serial

    def rank_gone(self, rank: int) -> None:
        """A rank has died, and its streams were read."""
        self._ranks[rank].is_gone = True

    def end(self, record: TaskRecord, now: float) -> None:
        """The task has ended. What its ranks still say is waited for, for a bounded time."""
        self.record = record
        self.ends_by = now + self._limits.settle_s

    def logs(self) -> Sequence[CapturedLog]:
        """Return one record for rank 0 and for every other rank that said anything."""
        return [self._log(number) for number, rank in enumerate(self._ranks) if number == 0 or not rank.is_empty]

    def _log(self, number: int) -> CapturedLog:
        rank, record = self._ranks[number], self.record
        stdout, stderr = (rank.streams[stream] for stream in STREAMS)
        ended_at = record.started_at if record.ended_at is None else record.ended_at
        return CapturedLog(
            log_id=f"{self._log_id}-{number}",
            run_id=record.run_id,
            task_id=record.task_id,
            generation=record.generation,
            rank=number,
            node=self._nodes[number],
            started_at=record.started_at,
            ended_at=ended_at,
            success=record.outcome is TaskOutcome.FINISHED,
            stdout=stdout.text(),
            stderr=stderr.text(),
            python_logs=rank.logs.text(),
            traceback=rank.traceback,
            dropped_bytes=stdout.dropped_bytes + stderr.dropped_bytes + rank.logs.dropped_bytes,
            tags=record.tags,
        )


def ended_record(
    record: TaskRecord, event: TaskFinished | TaskRejected | ErrorChunk | TaskStopped, at: float
) -> TaskRecord:
    """Return the record of a task with its end. Pure.

    Args:
        record: As it began.
        event: Its terminal event.
        at: Seconds since the Unix epoch.
    """
    incident_id: str | None = None
    tokens: int | None = None
    match event:
        case TaskFinished():
            outcome = TaskOutcome.CANCELLED if event.finish_reason == "cancelled" else TaskOutcome.FINISHED
            detail, tokens = str(event.finish_reason), event.completion_tokens
        case TaskRejected():
            failed = event.code is RejectionCode.TASK_FAILED
            outcome, detail = TaskOutcome.FAILED if failed else TaskOutcome.REJECTED, event.message
        case ErrorChunk():
            outcome, detail, tokens = TaskOutcome.FAILED, event.incident.message, event.tokens_emitted
            incident_id = event.incident.incident_id
        case TaskStopped():
            outcome, detail, tokens = TaskOutcome.CANCELLED, event.message, event.tokens_emitted
    return msgspec.structs.replace(
        record, ended_at=at, outcome=outcome, detail=detail, completion_tokens=tokens, incident_id=incident_id
    )
