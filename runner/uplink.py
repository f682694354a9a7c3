"""The runner's way up: everything it says goes through here, and nothing after its last word."""

import threading

from transports.channel import RunnerEnd
from transports.messages import Upward


class Uplink:
    """Sends events from any thread until the last one was said; what comes after that is dropped."""

    def __init__(self, channel: RunnerEnd) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._over = False

    def send(self, *events: Upward) -> None:
        """Write events in one go. Blocks while the supervisor does not read.

        Raises:
            ChannelClosed: When the supervisor is gone.
        """
        with self._lock:
            if not self._over:
                self._channel.send(*events)

    def send_last(self, *events: Upward) -> None:
        """Write the runner's last events: nothing can follow them, whatever other threads do.

        Raises:
            ChannelClosed: When the supervisor is gone.
        """
        with self._lock:
            if not self._over:
                self._over = True
                self._channel.send(*events)
