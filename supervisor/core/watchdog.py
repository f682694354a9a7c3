"""Hang is a failure: ranks can wait for each other for ever while every process is alive.

The theory. While a generation starts, and while a request is in flight, every rank has something to do, and its
progress word changes as it does it. A rank that is busy with something of its own stalls when its word stays the same
for longer than the budget of that activity (`stall_budgets.py`). A rank that waits for the others (`connecting`,
`agreeing`) is excused while any of them moves: it is part of a stall only when all ranks have been silent for too long.

Idle is not a hang (no request, no clock). A long prefill is none (each of its chunks is progress), and neither is a
slow load that moves, nor the rank that waits for it.
"""

import msgspec

from supervisor.core.stall_budgets import Budget, StallBudgets
from transports.progress import Activity, Progress

_WAITING = frozenset({Activity.AGREEING})
# Ready before the others are, or not yet connected: both wait for them.
_WAITING_AT_THE_START = frozenset({Activity.AGREEING, Activity.CONNECTING, Activity.IDLE})
_NOT_HEARD_OF = Progress(0)


class RankObservation(msgspec.Struct, frozen=True):
    """One rank of a stalled group. `cpu_share` is its use of a core just now; None when it cannot be read."""

    rank: int
    step: int
    stopped: bool
    cpu_share: float | None


class Silence(msgspec.Struct, frozen=True):
    """For how long a rank has said nothing new, what it said last, and how long it may say so."""

    word: Progress
    silent_s: float
    budget: Budget


class ProgressWatchdog:
    """The machine. Monotonic `now` in seconds.

    Args:
        budgets: What was learned so far; it learns on.
    """

    def __init__(self, budgets: StallBudgets) -> None:
        self._budgets = budgets
        self._words: dict[int, Progress] = {}
        self._moved_at: dict[int, float] = {}
        self._starting = False
        self._busy = False

    def begin_start(self, world_size: int, now: float) -> None:
        """A generation is being started: its ranks are watched from now on."""
        self._words = dict.fromkeys(range(world_size), Progress(0, Activity.CONNECTING))
        self._moved_at = dict.fromkeys(range(world_size), now)
        self._starting = True

    def begin(self, world_size: int, now: float) -> None:
        """A generation is ready: from now on its ranks are watched while a request is in flight."""
        # All have started, also those whose last word is older than that.
        words = {rank: self._words.get(rank, _NOT_HEARD_OF) for rank in range(world_size)}
        self._words = {rank: msgspec.structs.replace(word, activity=Activity.IDLE) for rank, word in words.items()}
        self._moved_at = dict.fromkeys(range(world_size), now)
        self._starting = False

    def end(self) -> None:
        """The generation failed or stops: nobody is watched."""
        self._words.clear()
        self._moved_at.clear()
        self._starting = False

    def busy(self, now: float, *, is_busy: bool) -> None:
        """Say whether a request is in flight. Becoming busy starts every rank's clock."""
        if is_busy and not self._busy:
            self._moved_at = dict.fromkeys(self._moved_at, now)
        self._busy = is_busy

    def progress(self, rank: int, word: Progress, now: float) -> None:
        """A rank sent its word. It moved if the word differs from the one before."""
        before = self._words.get(rank)
        if before is None or word == before:
            return
        if self._is_watching:
            self._budgets.learn(before.activity, now - self._moved_at[rank])
        self._words[rank] = word
        self._moved_at[rank] = now

    @property
    def _is_watching(self) -> bool:
        return self._starting or self._busy

    @property
    def deadline(self) -> float | None:
        """When somebody will have stalled unless they move; None while nobody can.

        A word can bring it nearer: look again from time to time.
        """
        if not self._is_watching or not self._words:
            return None
        waiting = _WAITING_AT_THE_START if self._starting else _WAITING
        own = [self._ends_at(rank) for rank, word in self._words.items() if word.activity not in waiting]
        return min(*own, max(map(self._ends_at, self._words))) if own else max(map(self._ends_at, self._words))

    def is_stalled(self, now: float) -> bool:
        """True when a rank has been silent for too long."""
        deadline = self.deadline
        return deadline is not None and now >= deadline

    def silences(self, now: float) -> dict[int, Silence]:
        """Return how every watched rank stands."""
        return {
            rank: Silence(word, now - self._moved_at[rank], self._budgets.of(word.activity))
            for rank, word in self._words.items()
        }

    def overdue(self, now: float) -> frozenset[int]:
        """Return the ranks that have used up their budgets: among them is the one that is behind."""
        return frozenset(rank for rank in self._words if now >= self._ends_at(rank))

    def _ends_at(self, rank: int) -> float:
        return self._moved_at[rank] + self._budgets.of(self._words[rank].activity).limit_s
