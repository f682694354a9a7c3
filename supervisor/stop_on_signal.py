"""How a long-lived process hears that it should end: SIGINT or SIGTERM, gently the first time."""

import signal
from collections.abc import Callable

import anyio


async def stop_on_signal(stop: Callable[[], None], scope: anyio.CancelScope) -> None:
    """Call `stop` at the first signal and cancel `scope` at the second, which leaves everything at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        stopping = False
        async for _ in signals:
            if stopping:
                scope.cancel()
                return
            stopping = True
            stop()
