"""Hang is a failure: ranks can wait for each other for ever while every process is alive.

The theory. While a task is in flight every rank takes part in every step, so every rank reports progress. A rank that
has reported none for `limit_s` of such time is stalled, and mostly all are: they wait for the one that is behind.
Idle is not a hang (no task, no clock), and a long prefill is none (each of its chunks is progress).
"""

from collections.abc import Sequence

import msgspec

_IDLE_SHARE = 0.1
_SPINNING_SHARE = 0.3


class RankObservation(msgspec.Struct, frozen=True):
    """One rank of a stalled group. `cpu_share` is its use of a core just now; None when it cannot be read."""

    rank: int
    step: int
    stopped: bool
    cpu_share: float | None


class ProgressWatchdog:
    """The machine. Monotonic `now` in seconds.

    Args:
        limit_s: Longest silence of a rank while a task is in flight.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._moved_at: dict[int, float] = {}
        self._busy = False

    def begin(self, world_size: int, now: float) -> None:
        """A generation became ready: its ranks are watched from now on."""
        self._moved_at = dict.fromkeys(range(world_size), now)

    def end(self) -> None:
        """The generation failed or stops: nobody is watched."""
        self._moved_at.clear()

    def busy(self, now: float, *, is_busy: bool) -> None:
        """Say whether a task is in flight. Becoming busy starts every rank's clock."""
        if is_busy and not self._busy:
            self._moved_at = dict.fromkeys(self._moved_at, now)
        self._busy = is_busy

    def moved(self, rank: int, now: float) -> None:
        """A rank reported progress."""
        if rank in self._moved_at:
            self._moved_at[rank] = now

    @property
    def deadline(self) -> float | None:
        """When somebody will have stalled unless they move; None while nobody can."""
        if not self._busy or not self._moved_at:
            return None
        return min(self._moved_at.values()) + self._limit_s

    def is_stalled(self, now: float) -> bool:
        """True when a rank has been silent for too long."""
        deadline = self.deadline
        return deadline is not None and now >= deadline


def ranks_behind(observations: Sequence[RankObservation]) -> tuple[int, ...]:
    """Name the ranks that the others wait for, by the hardest fact there is; all of them when nothing tells.

    A stopped process is behind. So is the one that counted fewer steps: after a stall all reports are in. A rank that
    waits in a ring collective burns its core (MLX 0.32.4 polls without a timeout), so one that does
    not, while others do, is the one that they wait for.
    """
    stopped = tuple(seen.rank for seen in observations if seen.stopped)
    if stopped:
        return stopped
    lowest, highest = min(seen.step for seen in observations), max(seen.step for seen in observations)
    if highest != lowest:
        return tuple(seen.rank for seen in observations if seen.step == lowest)
    shares = [seen.cpu_share for seen in observations if seen.cpu_share is not None]
    if len(shares) == len(observations) and min(shares) < _IDLE_SHARE < _SPINNING_SHARE < max(shares):
        return tuple(seen.rank for seen in observations if (seen.cpu_share or 0.0) < _IDLE_SHARE)
    return tuple(seen.rank for seen in observations)
