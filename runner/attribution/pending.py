"""Events about tasks' output on their way to the channel: bounded, however much a task prints."""

import threading
from collections import Counter, deque

from transports.output_events import OutputEvent, TaskOutputEnded


class PendingEvents:
    """A queue between whoever prints and the thread that sends. Any thread; nothing blocks.

    Args:
        max_pending_bytes: Text that may wait; what comes on top of it is counted and dropped.
    """

    def __init__(self, max_pending_bytes: int) -> None:
        self._max_pending_bytes = max_pending_bytes
        # Re-entrant: the garbage collector may run code that prints while the lock is held.
        self._changed = threading.Condition(threading.RLock())
        self._events: deque[OutputEvent | TaskOutputEnded] = deque()
        self._pending_bytes = 0
        self._dropped: Counter[str] = Counter()

    def put(self, event: OutputEvent, size_bytes: int) -> None:
        """Append an event, or count it as dropped when too much waits already."""
        with self._changed:
            if self._pending_bytes + size_bytes > self._max_pending_bytes:
                self._dropped[event.task_id] += 1
                return
            self._pending_bytes += size_bytes
            self._events.append(event)
            self._changed.notify()

    def put_end(self, task_id: str, serial: int) -> None:
        """Append a task's last word; it is never dropped."""
        with self._changed:
            self._events.append(TaskOutputEnded(task_id, serial, self._dropped.pop(task_id, 0)))
            self._changed.notify()

    def take(self) -> list[OutputEvent | TaskOutputEnded]:
        """Return what waits, in order."""
        if not self._events:
            return []
        with self._changed:
            events = list(self._events)
            self._events.clear()
            self._pending_bytes = 0
            return events

    def wait(self) -> None:
        """Return when something waits. Blocks."""
        with self._changed:
            while not self._events:
                self._changed.wait()
