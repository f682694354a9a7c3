"""The ranks of any program, as `ringwarden run` keeps them: they may end well one by one, but they fail together.

    RUNNING --all ended with 0--> over, or the next generation (`always`)
    RUNNING --one failed--> settle the verdict, release the others, wait until all are gone, then over or the next one
    RUNNING --a signal asked for the end--> passed on; wait for all, for the last at most `stop_grace_s` after the first

What the ranks say by themselves until the verdict is evidence; what a released rank does on its way out is not.
"""

import signal
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from diagnostics.cause import Cause
from diagnostics.incident import DeathCertificate, Verdict
from diagnostics.verdict import fold, is_final
from supervisor.core.restart import GiveUp, RestartAfter, RestartDecision, RestartPolicy

SIGNAL_BASE = 128
"""A shell says 128 + signal for a process that a signal ended."""


class RestartWhen(StrEnum):
    """When a program that ended is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class ProgramLimits(msgspec.Struct, frozen=True):
    """How long a verdict may wait for other ranks, and the others for the last one after a signal, in seconds."""

    verdict_settle_s: float = 0.5
    coincidence_s: float = 0.02
    stop_grace_s: float = 10.0


# --- inputs ---


class Start(msgspec.Struct, frozen=True, tag=True):
    """Begin the first generation."""


class RankEnded(msgspec.Struct, frozen=True, tag=True):
    """A rank is gone. `code` is what a shell would say; the certificate says why, should it matter."""

    certificate: DeathCertificate
    code: int


class EndAsked(msgspec.Struct, frozen=True, tag=True):
    """Somebody sent us a signal that asks for the end."""

    number: int


class KillAsked(msgspec.Struct, frozen=True, tag=True):
    """Somebody wants the end at once."""

    number: int


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; sent when `deadline` is reached."""


ProgramInput = Start | RankEnded | EndAsked | KillAsked | Tick


# --- actions ---


class StartGeneration(msgspec.Struct, frozen=True, tag=True):
    """Start every rank with this generation."""

    generation: int


class SignalRanks(msgspec.Struct, frozen=True, tag=True):
    """Pass a signal on to these ranks."""

    ranks: tuple[int, ...]
    number: int


class ReleaseRanks(msgspec.Struct, frozen=True, tag=True):
    """End these ranks by the ladder; `at_once` without any grace."""

    ranks: tuple[int, ...]
    at_once: bool = False


class DeclareVerdict(msgspec.Struct, frozen=True, tag=True):
    """The generation failed for this reason; `exit_code` is the root-cause rank's, never 0."""

    verdict: Verdict
    exit_code: int
    decision: RestartDecision


class AwaitRestart(msgspec.Struct, frozen=True, tag=True):
    """All ranks are gone; the next generation starts after `delay_s`."""

    delay_s: float


class Finish(msgspec.Struct, frozen=True, tag=True):
    """All ranks are gone and nothing follows. `signal` is set when somebody asked for the end."""

    exit_code: int
    signal: int | None = None


ProgramAction = StartGeneration | SignalRanks | ReleaseRanks | DeclareVerdict | AwaitRestart | Finish


class ProgramGroup:
    """The machine. Feed it inputs with monotonic `now` in seconds; carry out what it returns, in order.

    Args:
        world_size: How many ranks there are.
        when: When to start again.
        policy: How often, and after what delay.
        limits: The bounds.
    """

    def __init__(self, world_size: int, when: RestartWhen, policy: RestartPolicy, limits: ProgramLimits) -> None:
        self._world_size = world_size
        self._when = when
        self._policy = policy
        self._limits = limits
        self.generation = 0
        self.deadline: float | None = None
        self._alive: set[int] = set()
        self._ended: dict[int, RankEnded] = {}
        self._settling_until: float | None = None
        self._declared: DeclareVerdict | None = None
        self._asked: int | None = None

    def handle(self, program_input: ProgramInput, now: float) -> Sequence[ProgramAction]:
        """Take one input; return what to do about it, in order."""
        match program_input:
            case Start():
                return self._start(now)
            case RankEnded():
                return self._rank_ended(program_input, now)
            case EndAsked(number):
                return self._end_asked(SignalRanks(self._living(), number))
            case KillAsked(number):
                self._asked = self._asked or number
                return self._end_asked(ReleaseRanks(self._living(), at_once=True))
            case Tick():
                return self._tick(now)

    def _living(self) -> tuple[int, ...]:
        return tuple(sorted(self._alive))

    def _start(self, now: float) -> Sequence[ProgramAction]:
        self.generation += 1
        self.deadline = self._settling_until = self._declared = None
        self._ended.clear()
        self._alive = set(range(self._world_size))
        self._policy.ready(now)
        return (StartGeneration(self.generation),)

    def _end_asked(self, action: SignalRanks | ReleaseRanks) -> Sequence[ProgramAction]:
        if isinstance(action, SignalRanks):
            self._asked = self._asked or action.number
        if self._alive:
            return (action,)
        # Nothing runs: the group was waiting for its next start.
        self.deadline = None
        return (self._finished_by_signal(),)

    def _rank_ended(self, ended: RankEnded, now: float) -> Sequence[ProgramAction]:
        rank = ended.certificate.rank
        if ended.certificate.generation != self.generation or rank not in self._alive:
            return ()
        self._alive.discard(rank)
        self._ended[rank] = ended
        if self._declared is not None:
            return self._next_if_empty(now)
        if self._asked is not None and self._settling_until is None:
            return self._one_less_after_signal(now)
        if all(one.code == 0 for one in self._ended.values()):
            return () if self._alive else self._succeeded(now)
        if self._settling_until is None:
            self._settling_until = now + self._limits.verdict_settle_s
        return self._settle(now)

    def _one_less_after_signal(self, now: float) -> Sequence[ProgramAction]:
        if not self._alive:
            self.deadline = None
            return (self._finished_by_signal(),)
        if self.deadline is None:
            self.deadline = now + self._limits.stop_grace_s
        return ()

    def _finished_by_signal(self) -> Finish:
        """The lowest rank that did not end with 0 tells the code; without one to tell, the signal itself does."""
        codes = [self._ended[rank].code for rank in sorted(self._ended)]
        waited_for_restart = self._declared is not None or not codes
        if waited_for_restart or self._asked == signal.SIGPIPE:
            return Finish(SIGNAL_BASE + (self._asked or 0), self._asked)
        return Finish(next((code for code in codes if code), 0), self._asked)

    def _succeeded(self, now: float) -> Sequence[ProgramAction]:
        if self._when is RestartWhen.ALWAYS:
            decision = self._policy.failed(now, Cause.EXITED_EARLY)
            if isinstance(decision, RestartAfter):
                self.deadline = now + decision.delay_s
                return (AwaitRestart(decision.delay_s),)
        return (Finish(0),)

    def _settle(self, now: float) -> Sequence[ProgramAction]:
        """Declare the verdict when it is due, else set the time at which it will be."""
        if self._settling_until is None:
            return ()
        certificates = [one.certificate for one in self._ended.values()]
        if not self._alive:
            self._settling_until = now
        elif is_final([one.certificate for one in self._failed()], self._world_size) or self._world_size == 1:
            self._settling_until = min(self._settling_until, now + self._limits.coincidence_s)
        if now < self._settling_until:
            self.deadline = self._settling_until
            return ()
        self.deadline = self._settling_until = None
        verdict = fold(self._relevant(certificates), self._world_size, phases_known=False)
        self._declared = DeclareVerdict(verdict, self._exit_code(verdict), self._decide(verdict, now))
        if self._alive:
            return (self._declared, ReleaseRanks(self._living()))
        return (self._declared, *self._next_if_empty(now))

    def _failed(self) -> list[RankEnded]:
        return [one for one in self._ended.values() if one.code != 0]

    def _relevant(self, certificates: Sequence[DeathCertificate]) -> Sequence[DeathCertificate]:
        """A rank that ended well is to blame only when all that others complain of is that it is gone."""
        failed = [one.certificate for one in self._failed()]
        return certificates if all(one.diagnosis.peer_loss for one in failed) else failed

    def _exit_code(self, verdict: Verdict) -> int:
        failed = sorted(self._failed(), key=lambda one: (one.certificate.died_at_s, one.certificate.rank))
        named = {verdict.rank} if verdict.rank is not None else set(verdict.suspects)
        blamed = [one for one in failed if one.certificate.rank in named]
        return (blamed or failed)[0].code

    def _decide(self, verdict: Verdict, now: float) -> RestartDecision:
        if self._asked is not None:
            return GiveUp("it was asked to end")
        if self._when is RestartWhen.NEVER:
            return GiveUp("--restart was not asked for")
        return self._policy.failed(now, verdict.kind)

    def _next_if_empty(self, now: float) -> Sequence[ProgramAction]:
        if self._alive or self._declared is None:
            return ()
        if isinstance(self._declared.decision, RestartAfter) and self._asked is None:
            self.deadline = now + self._declared.decision.delay_s
            return (AwaitRestart(self._declared.decision.delay_s),)
        return (Finish(self._declared.exit_code),)

    def _tick(self, now: float) -> Sequence[ProgramAction]:
        if self.deadline is None or now < self.deadline:
            return ()
        if self._settling_until is not None:
            return self._settle(now)
        self.deadline = None
        if self._alive:
            return (ReleaseRanks(self._living()),)
        return self._start(now)
