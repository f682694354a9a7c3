"""Sees to it that the ranks of a generation start together: condemns the one that the others wait for."""

import time
from collections.abc import Mapping

import anyio

from diagnostics.phase import Phase
from supervisor.core.start_barrier import Announced, BarrierInput, BarrierLimits, Died, Moved, StartBarrier, Tick
from supervisor.rank_handle import RankHandle

_OVERSLEPT_S = 0.5


class StartWatch:
    """The shell of the start barrier. Used from the event loop.

    Args:
        ranks: The living ranks by number; changes as they come and go.
        limits: How far ranks may lie behind each other.
    """

    def __init__(self, ranks: Mapping[int, RankHandle], limits: BarrierLimits | None = None) -> None:
        self._ranks = ranks
        self._limits = limits or BarrierLimits()
        self._barrier = StartBarrier((), self._limits)
        self._changed = anyio.Event()

    def begin(self) -> None:
        """All ranks of a generation are there, and their processes are being started."""
        self._barrier = StartBarrier(self._ranks, self._limits)

    def announced(self, rank: int, phase: Phase) -> None:
        """A rank announced its phase."""
        self._feed(Announced(rank, phase))

    def moved(self, rank: int) -> None:
        """A rank reported progress."""
        self._feed(Moved(rank))

    def died(self, rank: int) -> None:
        """A rank is gone."""
        self._feed(Died(rank))

    async def watch(self) -> None:
        """Keep the deadlines, until cancelled."""
        while True:
            changed, deadline = self._changed, self._barrier.deadline
            with anyio.move_on_after(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await changed.wait()
                continue
            if deadline is not None and time.monotonic() - deadline > _OVERSLEPT_S:
                # This process was not scheduled: what the ranks said meanwhile is still unread.
                await anyio.sleep(_OVERSLEPT_S)
            self._feed(Tick())

    def _feed(self, barrier_input: BarrierInput) -> None:
        before = self._barrier.deadline
        for late in self._barrier.handle(barrier_input, time.monotonic()):
            if late.rank in self._ranks:
                self._ranks[late.rank].condemn(late.finding)
        if self._barrier.deadline != before:
            self._changed.set()
            self._changed = anyio.Event()
