"""Tasks in flight: which are open, who listens to each, and that each listener hears exactly one end."""

from collections.abc import Callable

from diagnostics.incident import Incident
from supervisor.core.ledger import InFlightLedger, OpenTask
from supervisor.core.task_statistics import RunnerTaskNews
from supervisor.task_stream import BufferedTaskStream
from transports.messages import (
    ErrorChunk,
    PrefillProgress,
    StopReason,
    TaskAccepted,
    TaskFinished,
    TaskQueued,
    TaskRejected,
    TaskStopped,
    TokenChunk,
    ToolCallChunk,
)
from transports.output_events import OUTPUT_EVENTS, OutputEvent

RunnerTaskEvent = (
    TaskAccepted | TaskRejected | PrefillProgress | TokenChunk | ToolCallChunk | TaskFinished | OutputEvent
)
RUNNER_TASK_EVENTS = (
    TaskAccepted,
    TaskRejected,
    PrefillProgress,
    TokenChunk,
    ToolCallChunk,
    TaskFinished,
    *OUTPUT_EVENTS,
)
TerminalEvent = TaskFinished | TaskRejected | ErrorChunk | TaskStopped


def _nobody(news: RunnerTaskNews) -> None:
    del news


def _as_it_is(event: TerminalEvent) -> TerminalEvent:
    return event


class TaskRouter:
    """The ledger with its listeners. Used from the event loop only; nothing blocks.

    Args:
        max_buffered_events: How far a listener may fall behind.
        on_end: Called once with each task's terminal event, before its listener hears it; returns what it hears.
        on_news: Called with each event of an open task's own progress.
    """

    def __init__(
        self,
        max_buffered_events: int = 65_536,
        on_end: Callable[[TerminalEvent], TerminalEvent] = _as_it_is,
        on_news: Callable[[RunnerTaskNews], None] = _nobody,
    ) -> None:
        self._max_buffered_events = max_buffered_events
        self._on_end = on_end
        self._on_news = on_news
        self._ledger = InFlightLedger()
        self._streams: dict[str, BufferedTaskStream] = {}
        self._stopped: set[str] = set()

    def __len__(self) -> int:
        return len(self._ledger)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._ledger

    def get(self, task_id: str) -> OpenTask | None:
        """One task in flight, to look at."""
        return self._ledger.get(task_id)

    def open(self, wanted_id: str) -> BufferedTaskStream:
        """Open a task. Its id is the wanted one, made unique: clients may send the same request id twice at once."""
        task_id, attempt = wanted_id, 2
        while task_id in self._ledger:
            task_id, attempt = f"{wanted_id}.{attempt}", attempt + 1
        self._ledger.open(task_id)
        stream = self._streams[task_id] = BufferedTaskStream(task_id, self._max_buffered_events)
        return stream

    def deliver(self, event: RunnerTaskEvent) -> bool:
        """Pass a runner's event on; False when its task should be cancelled, because its listener cannot follow."""
        if not self._ledger.observe(event):
            return True
        if isinstance(event, TaskRejected | TaskFinished):
            self._end(event)
            return True
        stream = self._streams.get(event.task_id)
        going_on = stream is None or stream.put(event)
        if not going_on:
            del self._streams[event.task_id]
        if isinstance(event, (TaskAccepted, PrefillProgress, TokenChunk)):
            self._on_news(event)
        return going_on

    def tell(self, event: TaskQueued) -> None:
        """Tell a task's listener where it stands."""
        stream = self._streams.get(event.task_id)
        if stream is not None:
            stream.put(event)

    def stop(self, task_id: str, reason: StopReason, message: str) -> TaskStopped | None:
        """End a task for its listener now, and return that end; its runner, still at it, has to be told to cancel it.

        None when nobody listens to such a task.
        """
        stream, task = self._streams.pop(task_id, None), self._ledger.get(task_id)
        if stream is None or task is None:
            return None
        self._stopped.add(task_id)
        stopped = TaskStopped(task_id, reason, message, task.tokens_emitted)
        stream.put(self._on_end(stopped))
        return stopped

    def withdraw(self, task_id: str) -> None:
        """Take back an `open` whose task could not be given to a runner."""
        self._ledger.withdraw(task_id)
        del self._streams[task_id]

    def forget(self, task_id: str) -> bool:
        """The listener left. True when the task is still open, so that its runner has to be told to cancel it."""
        stream = self._streams.pop(task_id, None)
        return stream is not None and not stream.ended

    def fail_all(self, incident: Incident) -> None:
        """End every open task with `incident`."""
        for chunk in self._ledger.fail_all(incident):
            self._end(chunk)

    def _end(self, event: TerminalEvent) -> None:
        if event.task_id in self._stopped:
            self._stopped.discard(event.task_id)
            return
        event = self._on_end(event)
        stream = self._streams.pop(event.task_id, None)
        if stream is not None:
            stream.put(event)

    def heard_ids(self) -> tuple[str, ...]:
        """Those in flight that somebody listens to, oldest first."""
        return tuple(self._streams)

    def open_ids(self) -> tuple[str, ...]:
        """The tasks in flight, oldest first."""
        return self._ledger.open_ids()
