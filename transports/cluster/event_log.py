"""Numbered events, without I/O and clock: the head's log of the last ones, and a node's place in it.

An epoch is one life of a head's log. Within it every event has the next number, so a node sees a gap, asks, and is
told what it missed; what the log has forgotten by then is lost, and the node is told that, too.
"""

from collections import deque

import msgspec

from transports.cluster.bus_errors import MessageTooLong
from transports.cluster.bus_limits import BusLimits

_ASK_AGAIN_S = 0.5


class EventLog:
    """The head's half: the last events, for nodes that missed some.

    Args:
        epoch: Number of this log; another one for each start of a head.
        limits: How much is kept.
    """

    def __init__(self, epoch: int, limits: BusLimits) -> None:
        self.epoch = epoch
        self._limits = limits
        self._events: deque[bytes] = deque()
        self._kept_bytes = 0
        self._first = 1

    @property
    def next_sequence(self) -> int:
        """The number of the next event."""
        return self._first + len(self._events)

    def append(self, event: bytes) -> int:
        """Number an event and keep it; the oldest ones make room.

        Raises:
            MessageTooLong: It is longer than `max_message_bytes`.
        """
        if len(event) > self._limits.max_message_bytes:
            raise MessageTooLong(
                f"an event of {len(event)} bytes; the bus carries up to {self._limits.max_message_bytes}"
            )
        sequence = self.next_sequence
        self._events.append(event)
        self._kept_bytes += len(event)
        while len(self._events) > 1 and self._is_over_limit():
            self._kept_bytes -= len(self._events.popleft())
            self._first += 1
        return sequence

    def since(self, first: int, max_bytes: int) -> tuple[int, tuple[bytes, ...]]:
        """Return events from `first` on, at least one if there is one and up to `max_bytes`, and the first's number.

        That number is above `first` when the log does not have it any more.
        """
        first = max(first, self._first)
        events: list[bytes] = []
        for index in range(first - self._first, len(self._events)):
            max_bytes -= len(self._events[index])
            if events and max_bytes < 0:
                break
            events.append(self._events[index])
        return first, tuple(events)

    def _is_over_limit(self) -> bool:
        return len(self._events) > self._limits.max_kept_events or self._kept_bytes > self._limits.max_kept_event_bytes


class FollowedEvent(msgspec.Struct, frozen=True):
    """An event that is due now."""

    sequence: int
    event: bytes


class EventsLost(msgspec.Struct, frozen=True):
    """Events that the head has forgotten: from `first` to `last`, both included."""

    first: int
    last: int


Followed = FollowedEvent | EventsLost


class EventFollower:
    """A node's half: hands events over in order, each once, and says what to ask for.

    Args:
        epoch: The log that is followed. Events of others are dropped.
        next_sequence: The first event that is wanted.
        limits: How much is held back while an earlier event is missing.
    """

    def __init__(self, epoch: int, next_sequence: int, limits: BusLimits) -> None:
        self.epoch = epoch
        self.next_sequence = next_sequence
        self._limits = limits
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        self._known_end = next_sequence
        self._ask_at = 0.0

    @property
    def is_behind(self) -> bool:
        """An event is missing."""
        return self._known_end > self.next_sequence

    def published(self, epoch: int, sequence: int, event: bytes) -> list[Followed]:
        """Take one event as it was published; return what is due now."""
        if epoch != self.epoch or sequence < self.next_sequence:
            return []
        self._known_end = max(self._known_end, sequence + 1)
        self._hold(sequence, event)
        return self._due()

    def repeated(self, epoch: int, first: int, events: tuple[bytes, ...]) -> list[Followed]:
        """Take the head's answer to a question; return what is due now, or lost for good."""
        if epoch != self.epoch:
            return []
        followed: list[Followed] = []
        if first > self.next_sequence:
            followed += self._due(before=first)
            followed += self._skip_to(first)
        for sequence, event in enumerate(events, first):
            followed += self.published(epoch, sequence, event)
        self._ask_at = 0.0
        return followed

    def told_end(self, epoch: int, next_sequence: int) -> None:
        """The head said which number its next event gets."""
        if epoch == self.epoch:
            self._known_end = max(self._known_end, next_sequence)

    def question(self, now: float) -> int | None:
        """Return the first event to ask for now. None when none is missing, or it was asked for a moment ago."""
        if not self.is_behind or now < self._ask_at:
            return None
        self._ask_at = now + _ASK_AGAIN_S
        return self.next_sequence

    def _hold(self, sequence: int, event: bytes) -> None:
        fits = (
            len(self._held) < self._limits.max_kept_events
            and self._held_bytes + len(event) <= self._limits.max_kept_event_bytes
        )
        if sequence not in self._held and (fits or sequence == self.next_sequence):
            self._held[sequence] = event
            self._held_bytes += len(event)

    def _due(self, before: int | None = None) -> list[Followed]:
        due: list[Followed] = []
        while (before is None or self.next_sequence < before) and self.next_sequence in self._held:
            event = self._held.pop(self.next_sequence)
            self._held_bytes -= len(event)
            due.append(FollowedEvent(self.next_sequence, event))
            self.next_sequence += 1
        return due

    def _skip_to(self, first: int) -> list[Followed]:
        """Everything before `first` is forgotten by the head; what is held of it is due, the rest is lost."""
        followed: list[Followed] = []
        while self.next_sequence < first:
            following = min((held for held in self._held if held < first), default=first)
            followed.append(EventsLost(self.next_sequence, following - 1))
            self.next_sequence = following
            followed += self._due(before=first)
        self._known_end = max(self._known_end, first)
        return followed
