"""The start of one generation has a bound for every rank: once one rank has come to a phase, the others have to follow.

The theory. MLX waits without a word for a rank that is not there (v0.32.4, ring: rank k missing: rank k-1 raises after
31 s, all others wait for ever). But every rank announces its phases, so the head sees who is behind. The first rank
that reaches a phase starts the clock of all others for it. Phases that can be slow for one rank alone (loading, warming
up) count that rank's silence only: as long as it reports progress it is not late. Only ranks that stand furthest behind
can be late, since all others may wait for them, and they have their time from when the last one before them moved on.
Forming the group has a clock of its own, because there nobody may get through: then all are late, and none is at fault.

A death ends it: that has a certificate of its own, and others wait because of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from diagnostics.phase import Phase

_ORDER = (
    Phase.IDLE,
    Phase.CONNECTING,
    Phase.CONNECTED,
    Phase.LOADING,
    Phase.LOADED,
    Phase.WARMING_UP,
    Phase.READY,
    Phase.RUNNING,
)
_HEIGHT = {phase: height for height, phase in enumerate(_ORDER)}

_NOT_CONNECTING = "had not begun to connect {:g} s after {}; the group cannot form without it"
_NOT_CONNECTED = "was not connected {:g} s after {}; the group cannot load without it"
_NOT_FORMED = "had waited {:g} s for the group to form; no rank got through"
_NOT_LOADED = "made no progress for {:g} s after {} had loaded; the group cannot start without it"
_NOT_READY = "made no progress for {:g} s after {} became ready; the group cannot serve without it"


class BarrierLimits(msgspec.Struct, frozen=True):
    """How long after the first rank every other has to reach a phase.

    `connecting_s` has to be below the 31 s after which MLX blames a neighbour, `forming_s` above them. `loaded_s` and
    `ready_s` are silences: a rank that reports progress has them again.
    """

    connecting_s: float = 20.0
    connected_s: float = 20.0
    forming_s: float = 45.0
    loaded_s: float = 120.0
    ready_s: float = 60.0


# --- inputs ---


class Announced(msgspec.Struct, frozen=True, tag=True):
    """A rank announced a phase; the same one again is progress."""

    rank: int
    phase: Phase


class Moved(msgspec.Struct, frozen=True, tag=True):
    """A rank reported progress within its phase; a mere heartbeat is none."""

    rank: int


class Died(msgspec.Struct, frozen=True, tag=True):
    """A rank of the generation ended, or was told to."""

    rank: int


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; to be sent when `deadline` is reached."""


BarrierInput = Announced | Moved | Died | Tick


class Late(msgspec.Struct, frozen=True, tag=True):
    """Condemn this rank for what was found. Several at once when nothing tells them apart."""

    rank: int
    finding: SupervisorFinding


class _Barrier(NamedTuple):
    """Every rank has to reach `phase`; `slow` when its own progress gives it more time."""

    phase: Phase
    limit_s: float
    slow: bool
    words: str


class StartBarrier:
    """The machine, for the ranks of one generation. Monotonic `now` in seconds.

    Args:
        ranks: All ranks of the generation.
        limits: The bounds.
    """

    def __init__(self, ranks: Iterable[int], limits: BarrierLimits) -> None:
        self._barriers = (
            _Barrier(Phase.CONNECTING, limits.connecting_s, False, _NOT_CONNECTING),
            _Barrier(Phase.CONNECTED, limits.connected_s, False, _NOT_CONNECTED),
            _Barrier(Phase.LOADED, limits.loaded_s, True, _NOT_LOADED),
            _Barrier(Phase.READY, limits.ready_s, True, _NOT_READY),
        )
        self._forming = _Barrier(Phase.CONNECTED, limits.forming_s, False, _NOT_FORMED)
        self._heights = dict.fromkeys(ranks, 0)
        self._at_height = [len(self._heights)] + [0] * (len(_ORDER) - 1)
        self._moved_at = dict.fromkeys(self._heights, float("-inf"))
        self._first_at: dict[Phase, float] = {}
        self._floor_at = float("-inf")
        # Nobody can be late before: a rank that moves only makes it later, and needs no look at all others.
        self._look_at: float | None = None
        self._is_over = len(self._heights) < 2

    @property
    def deadline(self) -> float | None:
        """When somebody may be late, unless they move; None while nobody can be."""
        return None if self._is_over else self._look_at

    def handle(self, barrier_input: BarrierInput, now: float) -> Sequence[Late]:
        """Take one input; return who is late, once per generation."""
        match barrier_input:
            case Announced(rank, phase):
                if rank in self._heights and phase in _HEIGHT:
                    self._announced(rank, _HEIGHT[phase], now)
            case Moved(rank):
                if rank in self._heights:
                    self._moved_at[rank] = now
            case Died(rank):
                self._is_over = self._is_over or rank in self._heights
            case Tick():
                pass
        if self._is_over or self._look_at is None or now < self._look_at:
            return ()
        return self._late(now)

    @property
    def _floor(self) -> int:
        """Where those stand who are furthest behind."""
        return next(height for height, ranks in enumerate(self._at_height) if ranks)

    def _announced(self, rank: int, height: int, now: float) -> None:
        floor, known_phases = self._floor, len(self._first_at)
        self._moved_at[rank] = now
        self._at_height[self._heights[rank]] -= 1
        self._heights[rank] = max(self._heights[rank], height)
        self._at_height[self._heights[rank]] += 1
        for passed in _ORDER[: height + 1]:
            self._first_at.setdefault(passed, now)
        risen = self._floor
        if risen > floor:
            self._floor_at = now
        self._is_over = self._is_over or risen >= _HEIGHT[Phase.READY]
        if risen > floor or len(self._first_at) > known_phases:
            self._look_at = min((due_at for due_at, _, _ in self._dues()), default=None)

    def _dues(self) -> Iterator[tuple[float, int, _Barrier]]:
        """When which rank is late for what; nothing when the generation has started or failed."""
        floor = self._floor
        behind = [rank for rank, height in self._heights.items() if height == floor and not self._is_over]
        for barrier in self._barriers:
            first_at = self._first_at.get(barrier.phase)
            if first_at is None or floor >= _HEIGHT[barrier.phase]:
                continue
            for rank in behind:
                moved_at = self._moved_at[rank] if barrier.slow else self._floor_at
                yield max(first_at, self._floor_at, moved_at) + barrier.limit_s, rank, barrier
        if floor == _HEIGHT[Phase.CONNECTING] and Phase.CONNECTED not in self._first_at:
            yield from ((self._floor_at + self._forming.limit_s, rank, self._forming) for rank in behind)

    def _late(self, now: float) -> Sequence[Late]:
        due: dict[int, _Barrier] = {}
        dues = list(self._dues())
        self._look_at = min((due_at for due_at, _, _ in dues), default=None)
        for due_at, rank, barrier in dues:
            if now >= due_at:
                due.setdefault(rank, barrier)
        if not due:
            return ()
        self._is_over = True
        others = "the first rank" if len(due) > 1 else "the other rank" if len(self._heights) == 2 else "the others"
        return tuple(
            Late(rank, SupervisorFinding(Cause.START_TIMEOUT, due[rank].words.format(due[rank].limit_s, others)))
            for rank in sorted(due)
        )
