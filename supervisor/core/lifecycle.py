"""One runner's life as its supervisor sees it: what it announces, what it must not, and what takes too long.

The theory. Two fields, never one: what we want (`run` or `stop`) and what we observe (the phase that the runner
announced). The runner alone moves the phase, along `_NEXT`; a step that is not in the table is a protocol violation.
Time moves nothing but deadlines: no announcement for `start_timeout_s` before READY is a start that failed, unless the
runner waits for other ranks; a fatal line, or a closed channel, without an exit within `fatal_grace_s` is a death that
did not happen yet and is made to.

                     IDLE -> CONNECTING -> CONNECTED -> LOADING* -> LOADED -> WARMING_UP* -> READY <-> RUNNING
    from any of these -> SHUTTING_DOWN -> SHUTDOWN            (* repeats itself to report progress)

Whatever ends the runner before its exit was asked for becomes one `Finding` and one request to stop it.
"""

from collections.abc import Sequence

import msgspec

from diagnostics.cause import Cause
from diagnostics.evidence import Diagnostic, SupervisorFinding
from diagnostics.phase import STARTING_PHASES, Phase

_NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.IDLE: frozenset({Phase.CONNECTING}),
    Phase.CONNECTING: frozenset({Phase.CONNECTED}),
    Phase.CONNECTED: frozenset({Phase.LOADING}),
    Phase.LOADING: frozenset({Phase.LOADING, Phase.LOADED}),
    Phase.LOADED: frozenset({Phase.WARMING_UP}),
    Phase.WARMING_UP: frozenset({Phase.WARMING_UP, Phase.READY}),
    Phase.READY: frozenset({Phase.RUNNING}),
    Phase.RUNNING: frozenset({Phase.READY}),
    Phase.SHUTTING_DOWN: frozenset({Phase.SHUTDOWN}),
    Phase.SHUTDOWN: frozenset(),
}
_LEAVABLE = frozenset(_NEXT) - {Phase.SHUTTING_DOWN, Phase.SHUTDOWN}


class LifecycleLimits(msgspec.Struct, frozen=True):
    """How long a runner may take. `start_timeout_s` is the longest silence before READY, not the whole start."""

    start_timeout_s: float = 600.0
    fatal_grace_s: float = 5.0


# --- inputs ---


class Announced(msgspec.Struct, frozen=True, tag=True):
    """The runner announced a phase."""

    phase: Phase


class Moved(msgspec.Struct, frozen=True, tag=True):
    """The runner sent anything else: it is alive, so a slow start goes on."""


class Waits(msgspec.Struct, frozen=True, tag=True):
    """The runner waits in a collective for the other ranks: what takes long is theirs to answer for."""


class FatalLine(msgspec.Struct, frozen=True, tag=True):
    """A fatal signature was recognised on the stderr of the living process."""

    diagnostic: Diagnostic


class ChannelEnded(msgspec.Struct, frozen=True, tag=True):
    """The runner closed its end of the channel, or broke the protocol when `violation` is set."""

    violation: str | None = None


class Condemned(msgspec.Struct, frozen=True, tag=True):
    """The supervisor has found this runner at fault, although it lives: it has stalled."""

    finding: SupervisorFinding


class StopWanted(msgspec.Struct, frozen=True, tag=True):
    """The group wants this runner gone."""


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; sent when `deadline` is reached."""


LifecycleInput = Announced | Moved | Waits | FatalLine | ChannelEnded | Condemned | StopWanted | Tick


# --- actions ---


class EnterPhase(msgspec.Struct, frozen=True, tag=True):
    """The observed phase is now `phase`; tell whoever shows it."""

    phase: Phase


class EndRunner(msgspec.Struct, frozen=True, tag=True):
    """The runner must go: walk down the ladder. `finding` says why, None when the group asked for it."""

    finding: SupervisorFinding | None


LifecycleAction = EnterPhase | EndRunner


class Lifecycle:
    """The machine. Feed it inputs in order with monotonic `now` in seconds; carry out what it returns."""

    def __init__(self, limits: LifecycleLimits, now: float) -> None:
        self._limits = limits
        self.phase = Phase.IDLE
        self.stop_wanted = False
        self.finding: SupervisorFinding | None = None
        self._start_deadline: float | None = now + limits.start_timeout_s
        self._waits = False
        self._fatal_deadline: float | None = None
        self._fatal_reason: SupervisorFinding | None = None

    @property
    def deadline(self) -> float | None:
        """When a `Tick` is due, in the clock of `now`; None when nothing can time out."""
        if self.stop_wanted:
            return None
        starting = None if self._waits else self._start_deadline
        pending = [deadline for deadline in (starting, self._fatal_deadline) if deadline is not None]
        return min(pending, default=None)

    @property
    def was_ready(self) -> bool:
        """True once the runner has announced READY."""
        return self._start_deadline is None

    def handle(self, lifecycle_input: LifecycleInput, now: float) -> Sequence[LifecycleAction]:
        """Take one input; return what to do about it, in order."""
        match lifecycle_input:
            case Announced(phase):
                return self._announced(phase, now)
            case Moved():
                self._extend_start(now)
                return ()
            case Waits():
                self._waits = True
                return ()
            case FatalLine(diagnostic):
                message = f"wrote a fatal error but did not exit: {diagnostic.message}"
                self._expect_exit(SupervisorFinding(diagnostic.kind, message), now)
                return ()
            case ChannelEnded(None):
                finding = SupervisorFinding(Cause.PROTOCOL_VIOLATION, "closed its channel without exiting")
                self._expect_exit(finding, now)
                return ()
            case ChannelEnded(violation):
                finding = SupervisorFinding(Cause.PROTOCOL_VIOLATION, f"broke the channel's protocol: {violation}")
                return self._end(finding)
            case Condemned(finding):
                return self._end(finding)
            case StopWanted():
                return self._end(None)
            case Tick():
                return self._tick(now)

    def _announced(self, phase: Phase, now: float) -> Sequence[LifecycleAction]:
        legal = phase in _NEXT[self.phase] or (phase is Phase.SHUTTING_DOWN and self.phase in _LEAVABLE)
        if not legal:
            text = f"announced {phase.value} while {self.phase.value}"
            return self._end(SupervisorFinding(Cause.PROTOCOL_VIOLATION, f"broke the channel's protocol: {text}"))
        self.phase = phase
        self._extend_start(now)
        return (EnterPhase(phase),)

    def _extend_start(self, now: float) -> None:
        self._waits = False
        if self._start_deadline is None:
            return
        self._start_deadline = now + self._limits.start_timeout_s if self.phase in STARTING_PHASES else None

    def _expect_exit(self, finding: SupervisorFinding, now: float) -> None:
        if self._fatal_deadline is None:
            self._fatal_deadline = now + self._limits.fatal_grace_s
            self._fatal_reason = finding

    def _tick(self, now: float) -> Sequence[LifecycleAction]:
        if self._fatal_deadline is not None and now >= self._fatal_deadline:
            return self._end(self._fatal_reason)
        if self._start_deadline is not None and not self._waits and now >= self._start_deadline:
            message = f"announced nothing for {self._limits.start_timeout_s:g} s while {self.phase.value}"
            return self._end(SupervisorFinding(Cause.START_TIMEOUT, message))
        return ()

    def _end(self, finding: SupervisorFinding | None) -> Sequence[LifecycleAction]:
        if self.stop_wanted:
            return ()
        self.stop_wanted = True
        self.finding = finding
        return (EndRunner(finding),)
