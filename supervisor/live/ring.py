"""The last events, in bounded memory. Pure."""

from collections import deque
from collections.abc import Iterator

from transports.live import EncodedEvent

_ENTRY_BYTES = 200
"""What an event weighs beside its text."""


class EventRing:
    """Keeps the newest events of one kind or of several; the oldest make room.

    Args:
        max_events: How many at the most.
        max_bytes: How long they may be together; the newest one is kept however long it is.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: deque[EncodedEvent] = deque()
        self._bytes = 0
        self.lost_through = 0

    def append(self, event: EncodedEvent) -> None:
        """Keep one more. Its id is larger than all before."""
        self._events.append(event)
        self._bytes += _ENTRY_BYTES + len(event.data)
        while len(self._events) > 1 and (len(self._events) > self._max_events or self._bytes > self._max_bytes):
            oldest = self._events.popleft()
            self._bytes -= _ENTRY_BYTES + len(oldest.data)
            self.lost_through = oldest.event_id or 0

    def after(self, event_id: int) -> Iterator[EncodedEvent]:
        """The kept events with a larger id, newest first."""
        for event in reversed(self._events):
            if (event.event_id or 0) <= event_id:
                return
            yield event
