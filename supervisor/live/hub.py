"""Hands events to all who listen: nobody who listens can slow down what happens, or make it cost memory.

A listener has no buffer of its own, only the id of the last event that it took: one that is slow falls behind what is
kept, and is told so.
"""

import time
from collections.abc import Callable, Sequence

import anyio
import msgspec

from supervisor.live.ring import EventRing
from transports.live import (
    EncodedEvent,
    LiveListener,
    Missed,
    OutputLine,
    OutputSkipped,
    RecordedEvent,
    TooManyListeners,
)

_ENCODER = msgspec.json.Encoder()
_UNKNOWN = 1
"""Stands for an id that is not of this run: the clock was put back meanwhile."""
_MAX_BATCH_BYTES = 256 * 1024
_OUTPUT = frozenset({OutputLine.__name__, OutputSkipped.__name__})


class LiveHub:
    """Implements `transports.live.LiveFeed`. Used from the event loop only; nothing blocks.

    What runners print is kept apart from everything else, so that a flood of it displaces nothing but itself.

    Args:
        max_events: Events kept, beside output.
        max_event_bytes: How long they may be together.
        max_lines: Lines of output kept.
        max_line_bytes: How long they may be together.
        max_listeners: One more is refused.
        clock: Seconds since the Unix epoch; ids begin with it, so that they grow over restarts of the daemon, too.
    """

    def __init__(
        self,
        *,
        max_events: int = 1_000,
        max_event_bytes: int = 4 * 1024 * 1024,
        max_lines: int = 4_000,
        max_line_bytes: int = 4 * 1024 * 1024,
        max_listeners: int = 32,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._events = EventRing(max_events, max_event_bytes)
        self._lines = EventRing(max_lines, max_line_bytes)
        self._max_listeners = max_listeners
        self._listeners: list[LiveListener] = []
        self._before_first = self.newest_id = int(clock() * 1_000_000)
        self._arrived = anyio.Event()
        self.closed = False

    def publish(self, event: RecordedEvent) -> None:
        """Give an event its id, keep it and wake those who listen."""
        self.newest_id += 1
        name = type(event).__name__
        ring = self._lines if name in _OUTPUT else self._events
        ring.append(EncodedEvent(self.newest_id, name, _ENCODER.encode(event)))
        self._wake()

    def close(self) -> None:
        """Nothing comes any more: those who listen end when they have taken what there is."""
        self.closed = True
        self._wake()

    def listen(self, since: int | None, names: frozenset[str]) -> LiveListener:
        """Begin to listen.

        Raises:
            TooManyListeners: Nobody else can listen.
        """
        if len(self._listeners) >= self._max_listeners:
            raise TooManyListeners(f"{self._max_listeners} programs or pages listen to events already")
        if since is not None and since > self.newest_id:
            since = _UNKNOWN
        listener = _Listener(self, self.newest_id if since is None else since, names)
        self._listeners.append(listener)
        return listener

    def leave(self, listener: LiveListener) -> None:
        """End one's listening."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def more(self) -> None:
        """Return when something happens."""
        await self._arrived.wait()

    def lost_through(self, names: frozenset[str]) -> int:
        """The newest id that is not kept any more."""
        return max(ring.lost_through for ring in self._rings(names))

    def after(self, event_id: int, names: frozenset[str], noted_through: int = 0) -> list[EncodedEvent]:
        """What is kept that is newer, in order, behind a note of what is not kept any more and was not noted yet."""
        rings = self._rings(names)
        newer = [event for ring in rings for event in ring.after(event_id)]
        missed: list[EncodedEvent] = []
        if self.lost_through(names) > max(event_id, noted_through) or 0 < event_id < self._before_first:
            missed = [self._missed(event_id)]
        return missed + sorted((event for event in newer if event.name in names), key=_id)

    def _missed(self, event_id: int) -> EncodedEvent:
        kept = sum(1 for ring in (self._events, self._lines) for _ in ring.after(event_id))
        lost = self.newest_id - max(event_id, self._before_first) - kept
        of_another_run = 0 < event_id < self._before_first
        return EncodedEvent(None, Missed.__name__, _ENCODER.encode(Missed(None if of_another_run else lost)))

    def _rings(self, names: frozenset[str]) -> tuple[EventRing, ...]:
        lines = (self._lines,) if names & _OUTPUT else ()
        return (self._events, *lines) if names - _OUTPUT else lines

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()


class _Listener:
    """Implements `transports.live.LiveListener`."""

    def __init__(self, hub: LiveHub, since: int, names: frozenset[str]) -> None:
        self._hub = hub
        self._cursor = since
        self._names = names
        self._noted_through = 0

    @property
    def position(self) -> int:
        return self._cursor

    async def take(self, within_s: float) -> Sequence[EncodedEvent] | None:
        with anyio.move_on_after(within_s):
            while self._cursor >= self._hub.newest_id and not self._hub.closed:
                await self._hub.more()
        if self._cursor >= self._hub.newest_id:
            return None if self._hub.closed else ()
        events = self._hub.after(self._cursor, self._names, self._noted_through)
        if events and events[0].name == Missed.__name__:
            self._noted_through = self._hub.lost_through(self._names)
        batch = _first_of(events)
        self._cursor = self._hub.newest_id if len(batch) == len(events) else _id(batch[-1])
        return batch


def _first_of(events: list[EncodedEvent]) -> list[EncodedEvent]:
    """As many as are sent at once: at least one that has an id."""
    room_bytes = _MAX_BATCH_BYTES
    for count, event in enumerate(events, 1):
        room_bytes -= len(event.data)
        if room_bytes <= 0 and event.event_id is not None:
            return events[:count]
    return events


def _id(event: EncodedEvent) -> int:
    return event.event_id or 0
