"""The books of one runner's output: which tasks are in flight, what each has written, what is still to be sent."""

import os
import threading
from collections.abc import Callable, Sequence

import msgspec

from runner.attribution.context import current_task
from runner.attribution.descriptor import MarkedDescriptor
from runner.attribution.pending import PendingEvents
from runner.uplink import Uplink
from transports.channel import ChannelClosed
from transports.line_joiner import LineJoiner
from transports.markers import MarkerWriter
from transports.messages import Upward
from transports.output_events import OutputStream, TaskLog, TaskStderr, TaskStdout

_EVENT_BYTES = 64
"""What an event weighs beside its text."""


class OutputLimits(msgspec.Struct, frozen=True):
    """The bounds on one runner's reported output. Longer lines are reported in pieces."""

    max_line_bytes: int = 16 * 1024
    max_pending_bytes: int = 4 * 1024 * 1024


class _OpenTask:
    """A task in flight, and the unfinished lines of its threads: `print` writes a line in pieces."""

    def __init__(self, number: int, max_line_bytes: int) -> None:
        self.number = number
        self._max_line_bytes = max_line_bytes
        self._joiners: dict[tuple[OutputStream, int], LineJoiner] = {}

    def feed(self, stream: OutputStream, data: bytes) -> list[bytes]:
        """Return the lines that the calling thread completes."""
        writer = (stream, threading.get_ident())
        joiner = self._joiners.get(writer)
        if joiner is None:
            joiner = self._joiners[writer] = LineJoiner(self._max_line_bytes)
        lines = joiner.feed(data)
        if joiner.is_empty:
            del self._joiners[writer]
        return lines

    def finish(self) -> list[tuple[OutputStream, bytes]]:
        """Return the lines that nobody completed."""
        rest: list[tuple[OutputStream, bytes]] = [
            (stream, line) for (stream, _), joiner in self._joiners.items() for line in joiner.finish()
        ]
        self._joiners.clear()
        return rest


class TaskOutput:
    """Reports each line of each task and writes it to the real descriptors, marked. Any thread may write.

    Args:
        uplink: What it is reported through; it takes along what waits here whenever it sends something.
        marker_token: None writes no markers.
        limits: The bounds.
        descriptors: The real stdout and stderr.
    """

    def __init__(
        self,
        uplink: Uplink,
        marker_token: str | None,
        limits: OutputLimits,
        descriptors: tuple[int, int] = (1, 2),
    ) -> None:
        self._uplink = uplink
        self._limits = limits
        self._markers = None if marker_token is None else MarkerWriter(marker_token)
        self._descriptors: dict[OutputStream, MarkedDescriptor] = {
            "stdout": MarkedDescriptor(descriptors[0], self._markers),
            "stderr": MarkedDescriptor(descriptors[1], self._markers),
        }
        self._pending = PendingEvents(limits.max_pending_bytes)
        self._lock = threading.RLock()
        self._open: dict[str, _OpenTask] = {}
        self._serial = 0
        self._last_number = 0
        self._is_child = False
        uplink.attach(self._take_all)

    def start(self, leave_without_supervisor: Callable[[], object]) -> None:
        """Send from a thread of its own, so that a line arrives while its task computes."""
        os.register_at_fork(after_in_child=self._forked)

        def send() -> None:
            try:
                while True:
                    self._pending.wait()
                    self._uplink.send()
            except ChannelClosed:
                leave_without_supervisor()

        threading.Thread(target=send, name="attribution", daemon=True).start()

    def descriptor_of(self, stream: OutputStream) -> int:
        """The real descriptor of a stream."""
        return self._descriptors[stream].descriptor

    def begin(self, task_id: str) -> None:
        """A task is in flight from here on, if it is not already. Compute thread only."""
        with self._lock:
            if task_id in self._open:
                return
            self._serial += 1
            self._last_number += 1
            self._open[task_id] = _OpenTask(self._last_number, self._limits.max_line_bytes)
        if self._markers is not None:
            self._mark(self._markers.enter(self._serial, self._last_number, task_id))

    def end(self, task_id: str) -> None:
        """A task has ended, if it has not already: what it still had to say goes up before whatever is sent next, and
        nothing of it is reported after that. Compute thread only.
        """
        with self._lock:
            task = self._open.pop(task_id, None)
            if task is None:
                return
            self._serial += 1
            self._report_rest(task_id, task)
        if self._markers is not None:
            self._mark(self._markers.leave(self._serial, task.number))
        self._pending.put_end(task_id, self._serial)

    def never_began(self, task_id: str) -> None:
        """A task ended before this rank saw it: it has said nothing here. Compute thread only."""
        self._pending.put_end(task_id, self._serial)

    def write(self, stream: OutputStream, data: bytes) -> None:
        """Write what Python code printed to the real descriptor."""
        task = self._open.get(current_task() or "")
        self._descriptors[stream].write(0 if task is None else task.number, data)

    def report(self, stream: OutputStream, data: bytes) -> None:
        """Report the lines that this completes, when a task in flight printed it."""
        task_id = current_task()
        if task_id is None or self._is_child:
            return
        with self._lock:
            task = self._open.get(task_id)
            if task is not None:
                self._report(task_id, stream, task.feed(stream, data))

    def log(self, event: TaskLog) -> None:
        """Report a record, when its task is in flight."""
        with self._lock:
            if event.task_id in self._open and not self._is_child:
                self._pending.put(event, _EVENT_BYTES + len(event.message) + len(event.traceback))

    def _take_all(self, *, last: bool) -> Sequence[Upward]:
        if last:
            with self._lock:
                for task_id, task in self._open.items():
                    self._report_rest(task_id, task)
        return self._pending.take()

    def _report_rest(self, task_id: str, task: _OpenTask) -> None:
        for stream, line in task.finish():
            self._report(task_id, stream, [line])

    def _report(self, task_id: str, stream: OutputStream, lines: Sequence[bytes]) -> None:
        make = TaskStdout if stream == "stdout" else TaskStderr
        for line in lines:
            self._pending.put(make(task_id, line.decode("utf-8", "replace")), _EVENT_BYTES + len(line))

    def _mark(self, marker: bytes) -> None:
        for descriptor in self._descriptors.values():
            descriptor.mark(marker)

    def _forked(self) -> None:
        """In a fork of this process: the channel is not ours to speak on, and the lock may be held by nobody."""
        self._lock = threading.RLock()
        self._is_child = True
