"""The supervisor's end of the private channel: reads events as they come, writes commands without ever blocking."""

import socket
from collections import deque
from collections.abc import Callable

import anyio

from supervisor.process.drain import drain
from transports.channel import DownwardEncoder, ProtocolViolation, UpwardDecoder
from transports.messages import Command, Upward


class ChannelFull(Exception):
    """The runner does not read its commands: more than the cap are waiting for it."""


class SupervisorEnd:
    """One runner's channel. Used from the event loop only.

    Args:
        connection: Our non-blocking end of the socketpair. Owned from here on.
        generation: The generation of the runner at the other end.
        max_pending_bytes: Most bytes of commands that may wait for the runner to read them.
    """

    def __init__(self, connection: socket.socket, generation: int, max_pending_bytes: int) -> None:
        self._connection = connection
        self._decoder = UpwardDecoder(generation)
        self._encoder = DownwardEncoder(generation)
        self._max_pending_bytes = max_pending_bytes
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._has_pending = anyio.Event()

    def send(self, command: Command) -> None:
        """Queue a command; it is written in order by `write_pending`. Never blocks.

        Raises:
            ChannelFull: When the runner has left too many commands unread; this one was not queued.
            FrameViolation: When the command exceeds the frame cap; it was not queued.
        """
        if self._pending_bytes > self._max_pending_bytes:
            raise ChannelFull(f"{self._pending_bytes} bytes of commands wait for a runner that does not read them")
        frame = self._encoder.encode(command)
        self._pending.append(frame)
        self._pending_bytes += len(frame)
        self._has_pending.set()

    async def write_pending(self) -> None:
        """Write queued commands until cancelled or until the runner closes its end."""
        while True:
            await self._has_pending.wait()
            self._has_pending = anyio.Event()
            while self._pending:
                frame = self._pending.popleft()
                self._pending_bytes -= len(frame)
                if not await self._write(memoryview(frame)):
                    return

    async def _write(self, data: memoryview) -> bool:
        while data:
            try:
                data = data[self._connection.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError:
                return False
        return True

    async def read(self, on_event: Callable[[Upward], None], on_violation: Callable[[ProtocolViolation], None]) -> None:
        """Pass on every event until the runner's end is closed.

        After a violation, which is reported once, the rest is read and thrown away: the runner must never block on
        us. A frame that is incomplete at the end is the mark of a death while writing, not a violation.
        """
        violated = False

        def consume(data: bytes) -> None:
            nonlocal violated
            if violated:
                return
            events, violation = self._decoder.feed(data)
            for event in events:
                on_event(event)
            if violation is not None:
                violated = True
                on_violation(violation)

        await drain(self._connection.fileno(), consume)

    def close(self) -> None:
        """Close our end: the runner's control thread sees the end of file."""
        self._connection.close()


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return (ours, the child's): a stream socketpair; ours does not block. Neither is inherited unless passed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return ours, theirs
