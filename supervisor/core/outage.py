"""How long the head has been unreachable, when to try again, when to give up, and what to say meanwhile.

The theory. An outage begins with the first failure after a success and ends with the next success; failures in between
move nothing but the last error. Delays grow in rounds: all failures until a round's delay is over belong to it, so
ten loops that fail together do not make each other wait longer. A delay never reaches past the budget's end.
"""

import msgspec

_MAX_ERROR_CHARACTERS = 300


class OutageLimits(msgspec.Struct, frozen=True):
    """How long an outage may last, and how long to wait between attempts; the last delay repeats."""

    budget_s: float = 120.0
    delays_s: tuple[float, ...] = (2.0, 4.0, 8.0, 10.0)


class Outage:
    """The machine. Monotonic `now` in seconds; `supervisor.cluster.outage_state` gives it a clock and a lock."""

    def __init__(self, limits: OutageLimits) -> None:
        self._limits = limits
        self._began_at: float | None = None
        self._round = 0
        self._round_began_at = 0.0
        self._logged_at: float | None = None
        self._last_error = "nothing was tried"

    def record_failure(self, error: BaseException | str, now: float) -> None:
        """An attempt failed. The first one begins the outage; of the error only its text is kept."""
        self._last_error = one_line(error)
        if self._began_at is None:
            self._began_at = self._round_began_at = now
            self._round = 0
        elif now >= self._round_began_at + self._delay_s():
            self._round_began_at = now
            self._round += 1

    def record_success(self, now: float) -> float | None:
        """The head answered: forget the outage and the log throttle. Return how long it lasted, None without one."""
        began_at, self._began_at, self._logged_at = self._began_at, None, None
        return None if began_at is None else max(0.0, now - began_at)

    def elapsed(self, now: float) -> float:
        """Seconds since the outage began; 0 without one."""
        return 0.0 if self._began_at is None else max(0.0, now - self._began_at)

    def should_shutdown(self, now: float) -> bool:
        """Whether the outage has used up its budget."""
        return self._began_at is not None and now >= self._began_at + self._limits.budget_s

    def next_delay_s(self, now: float) -> float:
        """How long to wait before the next attempt: the round's delay, or what is left of the budget; 0 outside one."""
        if self._began_at is None:
            return 0.0
        return max(0.0, min(self._delay_s(), self._began_at + self._limits.budget_s - now))

    def should_log(self, min_interval_s: float, now: float) -> bool:
        """True for one caller per interval during an outage, whoever it is; at once in a new one."""
        if self._began_at is None or (self._logged_at is not None and now < self._logged_at + min_interval_s):
            return False
        self._logged_at = now
        return True

    def progress_line(self, now: float) -> str:
        """The log line of an outage that goes on."""
        return f"Head unreachable — retrying ({int(self.elapsed(now))}s/{self._limits.budget_s:g}s elapsed)"

    def final_sentence(self, now: float) -> str:
        """What is said when the budget is used up."""
        return f"Head unreachable for {self.elapsed(now):.0f} s, given up. The last error was: {self._last_error}"

    def _delay_s(self) -> float:
        return self._limits.delays_s[min(self._round, len(self._limits.delays_s) - 1)]


def one_line(error: BaseException | str) -> str:
    """An error as one bounded, printable line without a traceback: it may quote what another machine sent."""
    text = error if isinstance(error, str) else (f"{type(error).__name__}: {error}" if str(error) else repr(error))
    words = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return words if len(words) <= _MAX_ERROR_CHARACTERS else f"{words[: _MAX_ERROR_CHARACTERS - 1]}…"
