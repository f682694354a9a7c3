"""Relays a runner's output to the daemon's own log, line by line, without letting a chatty runner flood it."""

import time
from collections.abc import Callable

from diagnostics.lines import LineSplitter

_WINDOW_S = 1.0


class OutputRelay:
    """One stream of one runner, in bounded time and memory.

    Args:
        label: Put in front of every line.
        write: Takes one line.
        max_bytes_per_s: What is relayed of a flood; the rest is counted, and the count is written.
        clock: Monotonic seconds.
        max_lines_per_s: The same for short lines, whose number costs more than their length.
    """

    def __init__(
        self,
        label: str,
        write: Callable[[str], None],
        max_bytes_per_s: int = 64 * 1024,
        clock: Callable[[], float] = time.monotonic,
        max_lines_per_s: int = 1_000,
    ) -> None:
        self._label = label
        self._write = write
        self._max_bytes_per_s = max_bytes_per_s
        self._clock = clock
        self._max_lines_per_s = max_lines_per_s
        self._splitter = LineSplitter()
        self._window_ends_at = 0.0
        self._room_bytes = 0
        self._room_lines = 0
        self._dropped_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take output as it came. Never blocks beyond the log's own writing."""
        now = self._clock()
        if now >= self._window_ends_at:
            self._open_window(now)
        if len(data) > self._room_bytes:
            self._dropped_bytes += len(data)
            return
        self._room_bytes -= len(data)
        lines = list(self._splitter.feed(data))
        for line in lines[: self._room_lines]:
            self._write(f"{self._label} {line.text}")
        self._dropped_bytes += sum(len(line.text) + 1 for line in lines[self._room_lines :])
        self._room_lines -= min(len(lines), self._room_lines)

    def _open_window(self, now: float) -> None:
        self._window_ends_at = now + _WINDOW_S
        self._room_bytes = self._max_bytes_per_s
        self._room_lines = self._max_lines_per_s
        if self._dropped_bytes:
            self._write(f"{self._label} ({self._dropped_bytes} bytes came too fast and are not shown)")
            self._dropped_bytes = 0
            # What follows is not the rest of the line that was cut off.
            self._splitter = LineSplitter()
