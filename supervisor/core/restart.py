"""When a failed group starts again, and when it is given up.

OTP's intensity and period, with what OTP lacks: a growing delay between attempts, which a stable run resets. A
failure that would only repeat itself (a corrupt model, before the group was ever ready) is given up at once.
"""

import msgspec

from diagnostics.cause import Cause

# A new start reads the same files and the same libraries again: the same failure, only later.
PERMANENT_CAUSES = frozenset(
    {
        Cause.MODEL_LOAD_MISSING_WEIGHTS,
        Cause.MODEL_LOAD_CORRUPT,
        Cause.MODEL_UNSUPPORTED,
        Cause.TOKENIZER_ERROR,
        Cause.DLOPEN_FAILED,
        Cause.FORK_SAFETY,
    }
)


class RestartLimits(msgspec.Struct, frozen=True):
    """At most `intensity` restarts within `period_s`; delays grow by `factor` from `first_delay_s` to `cap_s`."""

    first_delay_s: float = 0.2
    factor: float = 2.0
    cap_s: float = 10.0
    intensity: int = 5
    period_s: float = 300.0
    stable_after_s: float = 60.0


class RestartAfter(msgspec.Struct, frozen=True, tag=True):
    """Start the next generation `delay_s` from now."""

    delay_s: float


class GiveUp(msgspec.Struct, frozen=True, tag=True):
    """Do not start again. `reason` is one sentence for `ps` and the API."""

    reason: str


RestartDecision = RestartAfter | GiveUp


class RestartPolicy:
    """The machine. Tell it of every time the group became ready and of every failure."""

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._failures_at: list[float] = []
        self._consecutive = 0
        self._ready_at: float | None = None

    def ready(self, now: float) -> None:
        """The group serves since `now`."""
        self._ready_at = now

    def failed(self, now: float, cause: Cause) -> RestartDecision:
        """The group failed at `now` because of `cause`; return what follows."""
        if self._ready_at is not None and now - self._ready_at >= self._limits.stable_after_s:
            self._consecutive = 0
        never_ready = self._ready_at is None
        self._ready_at = None
        if never_ready and cause in PERMANENT_CAUSES:
            return GiveUp("a new start would meet the same failure")
        oldest = now - self._limits.period_s
        self._failures_at = [at for at in self._failures_at if at > oldest]
        self._failures_at.append(now)
        if len(self._failures_at) > self._limits.intensity:
            return GiveUp(f"it failed {len(self._failures_at)} times within {self._limits.period_s:g} s")
        delay = min(self._limits.first_delay_s * self._limits.factor**self._consecutive, self._limits.cap_s)
        self._consecutive += 1
        return RestartAfter(delay)
