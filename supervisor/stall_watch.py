"""Looks at ranks that stopped moving: dumps the stacks of all, finds the one that is behind, condemns it."""

import time
from collections.abc import Mapping

import anyio

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.core.stall_budgets import StallBudgets, StallLimits
from supervisor.core.stall_finding import ranks_behind, stall_sentence
from supervisor.core.watchdog import ProgressWatchdog, RankObservation
from supervisor.rank_handle import RankHandle
from transports.progress import Progress

# Long enough for a stack dump to be written and for a spinning process to be told from a waiting one.
_OBSERVATION_S = 0.5
# A word can bring the deadline nearer; this is how late that may be noticed.
_LONGEST_LOOK_S = 1.0


class StallWatch:
    """The shell of the progress watchdog. Used from the event loop. Lives as long as its group: what it learns stays.

    Args:
        limit_s: Longest silence of a rank while a request is in flight.
        ranks: The living ranks by number; changes as they come and go.
        floor_s: A learned budget is never shorter.
        start_limit_s: Longest silence while a generation starts.
    """

    def __init__(
        self, limit_s: float, ranks: Mapping[int, RankHandle], *, floor_s: float = 15.0, start_limit_s: float = 120.0
    ) -> None:
        limits = StallLimits(serving_s=limit_s, starting_s=start_limit_s, floor_s=floor_s)
        self._watchdog = ProgressWatchdog(StallBudgets(limits))
        self._ranks = ranks
        self._changed = anyio.Event()

    def begin_start(self) -> None:
        """All ranks of a generation are there, and their processes are being started."""
        self._watchdog.begin_start(len(self._ranks), time.monotonic())
        self._wake()

    def begin(self) -> None:
        """All ranks are ready."""
        self._watchdog.begin(len(self._ranks), time.monotonic())
        self._wake()

    def end(self) -> None:
        """The generation is over."""
        self._watchdog.end()

    def busy(self, *, is_busy: bool) -> None:
        """Say whether a request is in flight."""
        self._watchdog.busy(time.monotonic(), is_busy=is_busy)
        self._wake()

    def progress(self, rank: int, word: Progress) -> None:
        """A rank sent its progress word."""
        self._watchdog.progress(rank, word, time.monotonic())

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def watch(self) -> None:
        """Judge every stall, until cancelled."""
        while True:
            changed, deadline = self._changed, self._watchdog.deadline
            wait_s = None if deadline is None else min(max(0.0, deadline - time.monotonic()), _LONGEST_LOOK_S)
            with anyio.move_on_after(wait_s):
                await changed.wait()
                continue
            if self._watchdog.is_stalled(time.monotonic()):
                await self._judge()

    async def _judge(self) -> None:
        """Dump the stacks of all ranks together, before anything is ended; then look at all together."""
        suspects = dict(self._ranks)
        for rank in suspects.values():
            rank.dump_stacks()
        observations: dict[int, RankObservation] = {}

        async def observe(rank: int, handle: RankHandle) -> None:
            observations[rank] = await handle.observe(_OBSERVATION_S)

        async with anyio.create_task_group() as tasks:
            for rank, handle in suspects.items():
                tasks.start_soon(observe, rank, handle)
        now = time.monotonic()
        if self._watchdog.is_stalled(now):
            self._condemn(suspects, [observations[rank] for rank in sorted(observations)], now)

    def _condemn(self, suspects: Mapping[int, RankHandle], seen: list[RankObservation], now: float) -> None:
        silences, overdue = self._watchdog.silences(now), self._watchdog.overdue(now)
        words = {rank: silence.word for rank, silence in silences.items()}
        candidates = [one for one in seen if one.rank in silences and (one.rank in overdue or one.stopped)]
        behind = ranks_behind(candidates, words) if candidates else ()
        for one in candidates:
            if one.rank in behind:
                sentence = stall_sentence(one, seen, silences)
                suspects[one.rank].condemn(SupervisorFinding(Cause.STALLED, sentence))
        self._watchdog.end()
