"""How fast places become free: for whoever is told to come back when one is."""

from collections import deque


class Pace:
    """The machine. Monotonic `now` in seconds.

    Args:
        newest_ends: Over how many ends of tasks it is judged.
    """

    def __init__(self, newest_ends: int = 16) -> None:
        self._ends: deque[float] = deque(maxlen=newest_ends)

    def ended(self, now: float) -> None:
        """A task has ended."""
        self._ends.append(now)

    @property
    def seconds_per_end(self) -> float:
        """How long it takes until the next task ends, by the newest ends; 0 while too little is known.

        Pauses between tasks count, so that after one it is too long rather than too short.
        """
        if len(self._ends) < 2:
            return 0.0
        return (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
