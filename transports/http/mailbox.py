"""A bounded hand-over of events from the task that reads them to the task that writes them."""

import asyncio

from transports.messages import TaskEvent


class Mailbox:
    """One producer, one consumer, one event loop. What is there when the consumer looks is taken in one go.

    Args:
        max_pending_events: The producer waits while this many are unread.
    """

    def __init__(self, max_pending_events: int) -> None:
        self._max_pending_events = max_pending_events
        self._events: list[TaskEvent] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self.closed = False

    async def put(self, event: TaskEvent) -> None:
        """Add an event; waits while the mailbox is full."""
        while len(self._events) >= self._max_pending_events:
            self._emptied.clear()
            await self._emptied.wait()
        self._events.append(event)
        self._filled.set()

    def close(self) -> None:
        """No more events will come."""
        self.closed = True
        self._filled.set()

    def nudge(self) -> None:
        """Wake the consumer though there is nothing new."""
        self._filled.set()

    async def take(self) -> list[TaskEvent]:
        """Return all unread events in order; an empty list after a nudge, and when closed."""
        await self._filled.wait()
        if not self.closed:
            self._filled.clear()
        events, self._events = self._events, []
        self._emptied.set()
        return events
