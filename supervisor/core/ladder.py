"""The shutdown ladder: how a runner is asked, then told, then made to leave.

Every rung has a deadline and leaves a record. SIGUSR1 makes the runner write its Python stacks; SIGABRT leaves a
crash report on macOS; SIGKILL cannot be refused, but a process in an uninterruptible wait can still outlive it:
then the ladder ends at "unkillable" and says so, it never loops.
"""

import signal
from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Rung(StrEnum):
    """What is done on the way down."""

    WAIT = "wait"
    COOPERATIVE = "cooperative"
    STACK_DUMP = "stack_dump"
    TERMINATE = "terminate"
    ABORT = "abort"
    KILL = "kill"
    UNKILLABLE = "unkillable"


RUNG_SIGNALS: dict[Rung, signal.Signals] = {
    Rung.STACK_DUMP: signal.SIGUSR1,
    Rung.TERMINATE: signal.SIGTERM,
    Rung.ABORT: signal.SIGABRT,
    Rung.KILL: signal.SIGKILL,
}


class Step(msgspec.Struct, frozen=True):
    """One rung and how long to wait on it before the next, in seconds."""

    rung: Rung
    grace_s: float


class LadderRecord(msgspec.Struct, frozen=True):
    """That a rung was reached, and when, in the ladder's monotonic clock."""

    rung: Rung
    at_s: float


# A runner that still obeys: let it end its tasks at a token boundary.
GRACEFUL = (
    Step(Rung.COOPERATIVE, 5.0),
    Step(Rung.STACK_DUMP, 0.2),
    Step(Rung.TERMINATE, 2.0),
    Step(Rung.ABORT, 1.0),
    Step(Rung.KILL, 5.0),
)
# A survivor whose peer is dead: it may notice by itself (MLX >= 0.32.1, within 0.1 s), it cannot finish anything.
RELEASE = (
    Step(Rung.WAIT, 0.3),
    Step(Rung.STACK_DUMP, 0.1),
    Step(Rung.TERMINATE, 0.5),
    Step(Rung.KILL, 5.0),
)

# A runner at fault: it broke the protocol, stands still, or should be dead already. Clients wait for its end.
CONDEMNED = (
    Step(Rung.STACK_DUMP, 0.1),
    Step(Rung.TERMINATE, 0.5),
    Step(Rung.ABORT, 0.3),
    Step(Rung.KILL, 5.0),
)


class Ladder:
    """The machine. `start` takes the first rung, `tick` the next ones as their time comes.

    Args:
        steps: The way down, gentlest first; `UNKILLABLE` follows by itself.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._next_step = 0
        self.deadline: float | None = None
        self.records: list[LadderRecord] = []

    @property
    def started(self) -> bool:
        """True once the first rung was taken."""
        return bool(self.records)

    def start(self, now: float) -> Rung | None:
        """Take the first rung and return it; None when the ladder was started before."""
        return None if self.started else self._descend(now)

    def tick(self, now: float) -> Rung | None:
        """Return the rung to carry out now, None when none is due."""
        if self.deadline is None or now < self.deadline:
            return None
        return self._descend(now)

    def _descend(self, now: float) -> Rung:
        if self._next_step == len(self._steps):
            self.deadline = None
            rung = Rung.UNKILLABLE
        else:
            step = self._steps[self._next_step]
            self._next_step += 1
            self.deadline = now + step.grace_s
            rung = step.rung
        self.records.append(LadderRecord(rung, now))
        return rung
