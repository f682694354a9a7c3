"""Figures that grow: a histogram with fixed bounds, a rate over a sliding window, percentiles of the newest samples."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

from transports.http.figures import Percentiles


class Histogram:
    """Counts samples by size, for ever; costs a few integers.

    Args:
        bounds: The upper bounds of the buckets, ascending; one more bucket takes what is larger.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one sample; one that equals a bound belongs to it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class NewestSamples:
    """The newest samples, for percentiles.

    Args:
        max_samples: How many are kept.
    """

    def __init__(self, max_samples: int) -> None:
        self._samples: deque[float] = deque(maxlen=max_samples)
        self.add = self._samples.append
        """Keep one sample. The deque's own method: this is called for every token."""

    def percentiles(self) -> Percentiles | None:
        """Return those of what is kept (nearest rank); None when nothing is."""
        ordered = sorted(self._samples)
        if not ordered:
            return None
        return Percentiles(p50=_at(ordered, 0.50), p95=_at(ordered, 0.95), p99=_at(ordered, 0.99), samples=len(ordered))


def _at(ordered: Sequence[float], share: float) -> float:
    rank = -int(-share * len(ordered) // 1)  # Rounded up.
    return ordered[min(len(ordered), max(1, rank)) - 1]


class SlidingRate:
    """What came within the last `window_s` seconds, to a tenth of a second.

    Args:
        window_s: The window.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._slots: deque[list[int]] = deque()
        self._newest = -1

    def add(self, count: int, now: float) -> None:
        """Count what came at `now`, monotonic seconds."""
        slot = int(now * 10)
        if slot != self._newest:
            self._newest = slot
            self._slots.append([slot, 0])
            self._forget(now)
        self._slots[-1][1] += count

    def per_s(self, now: float) -> float:
        """Return the mean over the window that ends at `now`."""
        self._forget(now)
        return sum(count for _, count in self._slots) / self._window_s

    def _forget(self, now: float) -> None:
        oldest = int((now - self._window_s) * 10)
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
