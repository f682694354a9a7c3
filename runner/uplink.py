"""The runner's way up: everything it says goes through here, and nothing after its last word."""

import threading
from collections.abc import Sequence
from typing import Protocol

from transports.channel import RunnerEnd
from transports.messages import Upward


class Pending(Protocol):
    """What goes in front of whatever is sent next."""

    def __call__(self, *, last: bool) -> Sequence[Upward]:
        """Return it, and forget it. `last` when nothing can be sent after it. Must not block or send."""
        ...


def _nothing(*, last: bool) -> Sequence[Upward]:
    del last
    return ()


class Uplink:
    """Sends events from any thread until the last one was said; what comes after that is dropped."""

    def __init__(self, channel: RunnerEnd) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._over = False
        self._pending: Pending = _nothing

    def attach(self, pending: Pending) -> None:
        """Let somebody put events in front of whatever is sent from here on."""
        self._pending = pending

    def send(self, *events: Upward) -> None:
        """Write what is pending and these events, in one go. Blocks while the supervisor does not read.

        Raises:
            ChannelClosed: When the supervisor is gone.
        """
        with self._lock:
            pending = self._pending(last=False)
            if not self._over:
                self._write(*pending, *events)

    def send_last(self, *events: Upward) -> None:
        """Write the runner's last events: nothing can follow them, whatever other threads do.

        Raises:
            ChannelClosed: When the supervisor is gone.
        """
        with self._lock:
            if not self._over:
                self._over = True
                self._write(*self._pending(last=True), *events)

    def _write(self, *events: Upward) -> None:
        if events:
            self._channel.send(*events)
