"""One node's view of its head's reachability, shared by all loops and threads that talk to it."""

import threading
import time
from collections.abc import Callable

from supervisor.core.outage import Outage, OutageLimits


class OutageState:
    """The outage machine behind one lock. Any method may be called from any thread; none waits for anything else.

    Args:
        limits: The budget and the delays.
        clock: Monotonic seconds.
    """

    def __init__(self, limits: OutageLimits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._outage = Outage(limits or OutageLimits())
        self._clock = clock
        self._lock = threading.Lock()

    def record_failure(self, error: BaseException | str) -> None:
        """An attempt to reach the head failed. Repeated failures do not move the outage's start."""
        with self._lock:
            self._outage.record_failure(error, self._clock())

    def record_success(self) -> float | None:
        """The head answered: everything is reset. Return how long the outage lasted, None when there was none."""
        with self._lock:
            return self._outage.record_success(self._clock())

    def elapsed(self) -> float:
        """Seconds since the outage began; 0 without one."""
        with self._lock:
            return self._outage.elapsed(self._clock())

    def should_log(self, min_interval_s: float) -> bool:
        """True for exactly one caller per interval of an outage; at once in a new one; never without one."""
        with self._lock:
            return self._outage.should_log(min_interval_s, self._clock())

    def should_shutdown(self) -> bool:
        """Whether the outage has lasted for its whole budget."""
        with self._lock:
            return self._outage.should_shutdown(self._clock())

    def next_delay_s(self) -> float:
        """How long to wait before the next attempt: 2, 4, 8, then 10 s, never past the end of the budget."""
        with self._lock:
            return self._outage.next_delay_s(self._clock())

    def progress_line(self) -> str:
        """`Head unreachable — retrying (30s/120s elapsed)`."""
        with self._lock:
            return self._outage.progress_line(self._clock())

    def final_sentence(self) -> str:
        """What to say when the budget is used up: names the last error, without a traceback."""
        with self._lock:
            return self._outage.final_sentence(self._clock())
