"""How many refusals are told: a flood of them must not fill the log. Without a clock of its own."""


class RefusalGate:
    """Lets `max_per_s` reports a second through and counts the others."""

    def __init__(self, max_per_s: int) -> None:
        self._max_per_s = max_per_s
        self._second = 0
        self._told = 0
        self._untold = 0

    def may_tell(self, now: float) -> bool:
        """Whether a refusal may be told now; if not, it is counted."""
        if int(now) != self._second:
            self._second, self._told = int(now), 0
        if self._told >= self._max_per_s:
            self._untold += 1
            return False
        self._told += 1
        return True

    def untold(self, now: float) -> int:
        """Return how many were counted, once their second is over. They are forgotten then."""
        if int(now) == self._second:
            return 0
        untold, self._untold = self._untold, 0
        return untold
