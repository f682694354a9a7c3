"""How far a node's monotonic clock is from the head's, from the stamps of heartbeats that were answered.

The theory (NTP's, RFC 5905 section 8, with bounds instead of filters). A node sends at `sent_s` of its clock, the head
gets it at `received_s` and answers at `answered_s` of its own, the node gets that at `returned_s`. No message arrives
before it was sent, so head minus node lies between `answered_s - returned_s` and `received_s - sent_s`: an interval as
wide as the round trip. Its middle is the estimate, half its width the uncertainty, which grows as clocks drift apart.

Two intervals that exclude each other although drift was allowed for mean that a clock jumped: the node booted or was
suspended (monotonic clocks stand still then). What was known before is forgotten. Translated times are for people to
read; no decision may rest on them.
"""

import math
from collections import deque
from enum import Enum, auto

import msgspec

_ROUNDING_S = 1e-6


class ClockLimits(msgspec.Struct, frozen=True):
    """`drift` bounds how fast two clocks part, in seconds per second: Linux slews clocks by 500 ppm at most."""

    window_samples: int = 16
    drift: float = 500e-6


class ClockSample(msgspec.Struct, frozen=True):
    """One heartbeat and its answer: the first and the last stamp are of the node's clock, the others of the head's."""

    sent_s: float
    received_s: float
    answered_s: float
    returned_s: float

    @property
    def held_s(self) -> float:
        """How long the head took to answer."""
        return self.answered_s - self.received_s

    @property
    def round_trip_s(self) -> float:
        """How long both messages took together; slightly below 0 if they took no time and the clocks drift."""
        return (self.returned_s - self.sent_s) - self.held_s

    @property
    def offset_s(self) -> float:
        """Head minus node."""
        return ((self.received_s - self.sent_s) + (self.answered_s - self.returned_s)) / 2


class SampleResult(Enum):
    """What became of a sample."""

    TAKEN = auto()
    JUMPED = auto()
    """A clock jumped since the samples before it, which are forgotten."""
    IMPOSSIBLE = auto()
    """No clocks tell such times: it is dropped."""


class ClockOffset:
    """The machine, for one node."""

    def __init__(self, limits: ClockLimits) -> None:
        self._limits = limits
        self._samples: deque[ClockSample] = deque(maxlen=limits.window_samples)
        self._best: ClockSample | None = None

    def add(self, sample: ClockSample) -> SampleResult:
        """Learn from one answered heartbeat; samples come in the order in which they were made."""
        stamps = (sample.sent_s, sample.received_s, sample.answered_s, sample.returned_s)
        in_order = sample.returned_s >= sample.sent_s and sample.answered_s >= sample.received_s
        if not all(map(math.isfinite, stamps)) or not in_order:
            return SampleResult.IMPOSSIBLE
        if sample.round_trip_s < -(_ROUNDING_S + self._limits.drift * sample.held_s):
            # Each clock alone is in order: one of them stood still, or was started again, under way.
            self._forget()
            return SampleResult.JUMPED
        jumped = self._best is not None and self._excludes(self._best, sample)
        if jumped:
            self._forget()
        self._samples.append(sample)
        self._best = min(self._samples, key=lambda one: self._uncertainty_s(one, sample.returned_s))
        return SampleResult.JUMPED if jumped else SampleResult.TAKEN

    def to_head(self, at_s: float) -> float | None:
        """A time of the node's clock in the head's; None while no offset is known."""
        return None if self._best is None else at_s + self._best.offset_s

    def uncertainty_s(self, at_s: float) -> float | None:
        """How far `to_head(at_s)` may be wrong either way; None while no offset is known."""
        return None if self._best is None else self._uncertainty_s(self._best, at_s)

    def _uncertainty_s(self, sample: ClockSample, at_s: float) -> float:
        away_s = max(abs(at_s - sample.sent_s), abs(at_s - sample.returned_s))
        width_s = max(0.0, sample.round_trip_s) + self._limits.drift * sample.held_s
        return width_s / 2 + self._limits.drift * away_s + _ROUNDING_S

    def _excludes(self, known: ClockSample, sample: ClockSample) -> bool:
        allowed_s = self._uncertainty_s(known, sample.returned_s) + self._uncertainty_s(sample, sample.returned_s)
        # The head's clock tells the age, too: the node's stood still if it was suspended.
        allowed_s += self._limits.drift * max(0.0, sample.answered_s - known.received_s)
        return abs(sample.offset_s - known.offset_s) > allowed_s

    def _forget(self) -> None:
        self._samples.clear()
        self._best = None
