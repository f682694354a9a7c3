"""The in-flight ledger: every task that was opened ends with exactly one terminal event, whatever happens.

The theory. A task is open from `open` until the first terminal event; after that its id means nothing and whatever
else arrives for it is counted and dropped. A runner's events pass through `observe`; a group's failure ends all open
tasks through `fail_all`. What a runner sends about a task can neither end another one nor end one twice.
"""

import msgspec

from diagnostics.incident import Incident
from transports.messages import (
    TERMINAL_EVENTS,
    ErrorChunk,
    PrefillProgress,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TaskQueued,
    TaskRejected,
    TaskStopped,
    TokenChunk,
    ToolCallChunk,
)
from transports.output_events import OutputEvent, TaskLog, TaskStderr, TaskStdout


class OpenTask(msgspec.Struct):
    """What is known about one task in flight."""

    task_id: str
    accepted: bool = False
    tokens_emitted: int = 0
    prefill_done: int = 0
    prefill_total: int = 0


class InFlightLedger:
    """The machine; no time is involved."""

    def __init__(self) -> None:
        self._open: dict[str, OpenTask] = {}
        self.dropped_events = 0

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._open

    def open_ids(self) -> tuple[str, ...]:
        """The tasks in flight, oldest first."""
        return tuple(self._open)

    def get(self, task_id: str) -> OpenTask | None:
        """One task in flight, to look at; None when it is not open."""
        return self._open.get(task_id)

    def open(self, task_id: str) -> None:
        """Start to account for a task.

        Raises:
            ValueError: When the id is open already: ids are the supervisor's own and unique.
        """
        if task_id in self._open:
            raise ValueError(f"task {task_id} is open already; task ids must be unique")
        self._open[task_id] = OpenTask(task_id)

    def withdraw(self, task_id: str) -> None:
        """Take back an `open` whose task was never given to a runner: nobody is told."""
        del self._open[task_id]

    def observe(
        self,
        event: (
            TaskAccepted | TaskRejected | PrefillProgress | TokenChunk | ToolCallChunk | TaskFinished | OutputEvent
        ),
    ) -> bool:
        """Account for a runner's event; False when it came too late or out of order and must go nowhere."""
        task = self._open.get(event.task_id)
        if task is None or not self._in_order(task, event):
            self.dropped_events += 1
            return False
        if isinstance(event, TaskAccepted):
            task.accepted = True
        elif isinstance(event, TokenChunk):
            task.tokens_emitted += 1
        elif isinstance(event, PrefillProgress):
            task.prefill_done, task.prefill_total = event.done, event.total
        if isinstance(event, TERMINAL_EVENTS):
            del self._open[event.task_id]
        return True

    @staticmethod
    def _in_order(task: OpenTask, event: TaskEvent) -> bool:
        match event:
            case TaskAccepted():
                return not task.accepted
            case TokenChunk():
                return task.accepted and event.index == task.tokens_emitted
            case PrefillProgress() | ToolCallChunk() | TaskFinished():
                return task.accepted
            case TaskRejected() | TaskStdout() | TaskStderr() | TaskLog():
                return True
            case ErrorChunk() | TaskStopped() | TaskQueued():
                return False  # The supervisor's own: not a runner's to send.

    def fail_all(self, incident: Incident) -> list[ErrorChunk]:
        """End every open task with `incident`; the list holds one chunk for each, oldest first."""
        chunks = [ErrorChunk(task.task_id, incident, task.tokens_emitted) for task in self._open.values()]
        self._open.clear()
        return chunks
