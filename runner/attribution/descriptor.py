"""One of the process's own output descriptors, written with markers in atomic pieces."""

import os
import select

from transports.markers import MarkerWriter

# Writes of up to PIPE_BUF bytes are never mixed with another writer's: 4096 in Linux, 512 in macOS.
_ATOMIC_BYTES = select.PIPE_BUF
_LONGEST_ANNOUNCEMENT_BYTES = 64


class MarkedDescriptor:
    """Writes what Python code and the markers say. Any thread, without a lock: every piece is one write.

    A descriptor that is closed or full for good takes nothing, and nobody is told: a task must not fail because its
    log cannot be written. A descriptor that is full is waited for, as any write would wait.

    Args:
        descriptor: 1 or 2.
        markers: None writes text only.
    """

    def __init__(self, descriptor: int, markers: MarkerWriter | None) -> None:
        self.descriptor = descriptor
        self._markers = markers

    def write(self, number: int, data: bytes) -> None:
        """Write text of the task with this number (0: of none)."""
        if self._markers is None:
            self._put(data)
            return
        start = 0
        while start < len(data):
            end = _cut(data, start, start + _ATOMIC_BYTES - _LONGEST_ANNOUNCEMENT_BYTES)
            self._put(self._markers.announce(number, end - start) + data[start:end])
            start = end

    def mark(self, marker: bytes) -> None:
        """Write a marker."""
        self._put(marker)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.descriptor, view) :]
            except BlockingIOError:
                # Somebody who shares the pipe made it non-blocking.
                select.select([], [self.descriptor], [])
            except OSError:
                return


def _cut(data: bytes, start: int, limit: int) -> int:
    """Where the next piece ends: not inside a UTF-8 character."""
    if limit >= len(data):
        return len(data)
    for end in range(limit, max(limit - 4, start), -1):
        if data[end] & 0xC0 != 0x80:
            return end
    return limit
