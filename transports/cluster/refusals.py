"""How many refusals are told: a flood of them must not fill the log. Without a clock of its own."""


class RefusalGate:
    """Lets `max_per_s` reports a second through and counts the others into the next one."""

    def __init__(self, max_per_s: int) -> None:
        self._max_per_s = max_per_s
        self._second = 0
        self._told = 0
        self._untold = 0

    def report(self, reason: str, now: float) -> str | None:
        """Return what to tell, None when it is one too many."""
        if int(now) != self._second:
            self._second, self._told = int(now), 0
        if self._told >= self._max_per_s:
            self._untold += 1
            return None
        self._told += 1
        untold, self._untold = self._untold, 0
        return f"{reason} ({untold} more refusals were not told)" if untold else reason
