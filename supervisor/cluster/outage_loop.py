"""What every loop that talks to the head does when it does not answer: say so once, wait, try again, give up.

All loops of a node share one `OutageLoop`, so they share the outage, the throttle of its log line, and the ends of
their waits: a recovery that one of them sees, or a shutdown, wakes all of them at once.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import anyio

from supervisor.cluster.outage_state import OutageState
from supervisor.core.outage import one_line
from supervisor.exit_code import ExitCode

T = TypeVar("T")
_LONELY_DELAY_S = 1.0


class HeadLost(Exception):
    """The head was unreachable for the whole budget. The message is the sentence to print, and all of it."""

    exit_code = ExitCode.TEMPORARY


class ShuttingDown(Exception):
    """The node stops: do not try again."""


class OutageLoop:
    """Shared retry and wait. `failed`, `recovered` and `shut_down` may be called from any thread.

    Args:
        state: The outage.
        say: Takes one line now and then while the head does not answer, and one when it does again; must not raise.
        log_interval_s: Shortest time between two such lines of one outage, however many loops there are.
    """

    def __init__(self, state: OutageState, say: Callable[[str], None], *, log_interval_s: float = 5.0) -> None:
        self._state = state
        self._say = say
        self._log_interval_s = log_interval_s
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._is_shut_down = False

    @property
    def is_shut_down(self) -> bool:
        """Whether `shut_down` was called."""
        return self._is_shut_down

    @property
    def waiting(self) -> int:
        """How many loops sleep just now."""
        return len(self._wakers)

    def failed(self, error: BaseException | str) -> None:
        """An attempt failed; say so, and why, unless somebody just did."""
        self._state.record_failure(error)
        if self._state.should_log(self._log_interval_s):
            self._say(f"{self._state.progress_line()}: {one_line(error)}")

    def recovered(self) -> None:
        """The head answered: whoever waits tries again now. Cheap enough for every message of the head."""
        lasted_s = self._state.record_success()
        if lasted_s is None:
            return
        self._say(f"Head reachable again after {lasted_s:.0f} s")
        self._wake_all()

    def shut_down(self) -> None:
        """End every wait, now and from now on."""
        with self._lock:
            self._is_shut_down = True
        self._wake_all()

    async def wait(self, at_least_s: float = 0.0) -> bool:
        """Sleep until the next attempt is due: a delay that grows, cut short by a recovery. True when one did so.

        Args:
            at_least_s: Recoveries do not cut it shorter than this; a shutdown always does.

        Raises:
            ShuttingDown: `shut_down` was called, before or meanwhile.
            HeadLost: The budget is used up.
        """
        with self._listening() as woken:
            self._raise_if_over()
            began_at = anyio.current_time()
            delay_s = self._state.next_delay_s()
            # Without an outage there is no delay: another loop saw the recovery first.
            recovered = delay_s <= 0 or await _woken_before(woken, began_at + delay_s)
            while recovered and not self._is_shut_down:
                woken.clear()
                if not await _woken_before(woken, began_at + at_least_s):
                    break
        self._raise_if_over()
        return recovered

    @contextmanager
    def _listening(self) -> Generator[asyncio.Event]:
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        with self._lock:
            self._wakers.add(wake)
        try:
            yield woken
        finally:
            with self._lock:
                self._wakers.discard(wake)

    def _raise_if_over(self) -> None:
        if self._is_shut_down:
            raise ShuttingDown
        if self._state.should_shutdown():
            raise HeadLost(self._state.final_sentence())

    async def retry(self, attempt: Callable[[], Awaitable[T]], *unreachable: type[Exception]) -> T:
        """Call `attempt` until it succeeds, and return what it returns.

        Args:
            attempt: One try, with a deadline of its own: nothing here ends one that waits for ever.
            unreachable: The errors that mean that the head did not answer; `OSError` (with its timeouts) by default.

        Raises:
            ShuttingDown: As `wait`; a shutdown is also seen before the first attempt.
            HeadLost: As `wait`.
        """
        reasons = unreachable or (OSError,)
        was_recovered = False
        while True:
            if self._is_shut_down:
                raise ShuttingDown
            try:
                result = await attempt()
            except reasons as problem:
                self.failed(problem)
            else:
                self.recovered()
                return result
            # The head answers others but not this loop: it must not try again at the rate of their successes.
            was_recovered = await self.wait(_LONELY_DELAY_S if was_recovered else 0.0)

    def _wake_all(self) -> None:
        with self._lock:
            wakers = tuple(self._wakers)
        for wake in wakers:
            try:
                wake()
            except RuntimeError:
                # That waiter's event loop has been closed since: nobody is left to wake.
                continue


async def _woken_before(woken: asyncio.Event, due_at: float) -> bool:
    with anyio.move_on_after(due_at - anyio.current_time()):
        await woken.wait()
        return True
    return False
