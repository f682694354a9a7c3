"""The events of one task on their way from a runner to whoever asked for it."""

from collections.abc import Sequence

import anyio

from transports.messages import TERMINAL_EVENTS, RejectionCode, TaskEvent, TaskQueued, TaskRejected
from transports.output_events import OUTPUT_EVENTS, OutputEvent, TaskLog

_EVENT_BYTES = 64
"""What an event weighs beside its text."""


class BufferedTaskStream:
    """A bounded buffer between the supervisor, which never waits, and one reader, which may.

    Args:
        task_id: The task.
        max_buffered_events: Events that may wait for the reader. One more ends the task: a reader that slow is gone.
        max_buffered_output_bytes: What the task printed and the reader has not taken. More is dropped and counted:
            nothing that a task prints may end it.
    """

    def __init__(self, task_id: str, max_buffered_events: int, max_buffered_output_bytes: int = 1024 * 1024) -> None:
        self._task_id = task_id
        self._max_buffered_events = max_buffered_events
        self._max_buffered_output_bytes = max_buffered_output_bytes
        self._buffer: list[TaskEvent] = []
        self._buffered_outputs = 0
        self._buffered_output_bytes = 0
        self.dropped_outputs = 0
        self._arrived = anyio.Event()
        self.ended = False

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._task_id

    def put(self, event: TaskEvent) -> bool:
        """Hand an event to the reader. Never blocks. False when the stream has ended, by this event or before."""
        if self.ended:
            return False
        if isinstance(event, OUTPUT_EVENTS):
            return self._put_output(event)
        if len(self._buffer) - self._buffered_outputs >= self._max_buffered_events and not isinstance(
            event, TERMINAL_EVENTS
        ):
            message = f"the client left {self._max_buffered_events} events unread; read the stream faster"
            event = TaskRejected(self._task_id, RejectionCode.TASK_FAILED, message)
        if isinstance(event, TaskQueued) and self._buffer and isinstance(self._buffer[-1], TaskQueued):
            self._buffer.pop()  # Only the newest position means anything.
        self._buffer.append(event)
        self._arrived.set()
        self.ended = isinstance(event, TERMINAL_EVENTS)
        return not self.ended

    def _put_output(self, event: OutputEvent) -> bool:
        text_bytes = len(event.message) + len(event.traceback) if isinstance(event, TaskLog) else len(event.line)
        self._buffered_output_bytes += _EVENT_BYTES + text_bytes
        if self._buffered_output_bytes > self._max_buffered_output_bytes:
            self._buffered_output_bytes -= _EVENT_BYTES + text_bytes
            self.dropped_outputs += 1
            return True
        self._buffered_outputs += 1
        self._buffer.append(event)
        self._arrived.set()
        return True

    async def take(self) -> Sequence[TaskEvent]:
        """Return what has come since the last call, in order; waits for the first event, empty after the terminal one.

        Cancelling it loses nothing. One reader only.
        """
        while not self._buffer and not self.ended:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        events, self._buffer = self._buffer, []
        self._buffered_outputs = self._buffered_output_bytes = 0
        return events
