"""How much of a rank's output may cross the cluster: a flood stays on its node. Pure."""


class OutputBudget:
    """A bucket that fills with time.

    Args:
        max_bytes_per_s: What may pass in the long run.
        max_burst_bytes: What may pass at once.
    """

    def __init__(self, max_bytes_per_s: int = 1024 * 1024, max_burst_bytes: int = 4 * 1024 * 1024) -> None:
        self._max_bytes_per_s = max_bytes_per_s
        self._max_burst_bytes = max_burst_bytes
        self._room_bytes = float(max_burst_bytes)
        self._filled_at: float | None = None
        self.dropped_bytes = 0

    def take(self, wanted_bytes: int, now: float) -> bool:
        """Return whether so much may pass at monotonic `now`; what may not is counted."""
        since = 0.0 if self._filled_at is None else now - self._filled_at
        self._filled_at = now
        self._room_bytes = min(self._max_burst_bytes, self._room_bytes + since * self._max_bytes_per_s)
        if wanted_bytes > self._room_bytes:
            self.dropped_bytes += wanted_bytes
            return False
        self._room_bytes -= wanted_bytes
        return True
