"""One stream of one rank as lines with their tasks, at a pace that a person's screen can take. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from transports.line_joiner import LineJoiner
from transports.live import LiveAttribution
from transports.markers import Segment

_WINDOW_S = 1.0


class TaskLine(NamedTuple):
    """One line. `tasks` are those in flight as it was written."""

    text: str
    tasks: tuple[str, ...]
    attribution: LiveAttribution


class Skipped(NamedTuple):
    """So much came too fast to be shown."""

    skipped_bytes: int


class OutputLines:
    """One stream.

    Args:
        max_bytes_per_s: What is shown of a flood; the rest is counted.
        max_line_bytes: Longer lines are shown in pieces.
    """

    def __init__(self, max_bytes_per_s: int = 64 * 1024, max_line_bytes: int = 4 * 1024) -> None:
        self._max_bytes_per_s = max_bytes_per_s
        self._joiner = LineJoiner(max_line_bytes)
        self._tasks: tuple[str, ...] = ()
        self._window_ends_at = 0.0
        self._room_bytes = 0
        self._skipped_bytes = 0

    def feed(self, pieces: Sequence[Segment], now: float) -> Iterator[TaskLine | Skipped]:
        """Take the stream as it came, at monotonic `now`; yield the lines that are whole now."""
        if now >= self._window_ends_at:
            self._window_ends_at = now + _WINDOW_S
            self._room_bytes = self._max_bytes_per_s
            if self._skipped_bytes:
                yield Skipped(self._skipped_bytes)
                self._skipped_bytes = 0
        for piece in pieces:
            if piece.tasks != self._tasks:
                yield from self.finish()
                self._tasks = piece.tasks
            shown = piece.data
            if len(shown) > self._room_bytes:
                shown = shown[: shown.rfind(b"\n", 0, self._room_bytes) + 1]
            self._room_bytes -= len(shown)
            yield from self._lines(self._joiner.feed(shown))
            if len(shown) < len(piece.data):
                self._skipped_bytes += len(piece.data) - len(shown)
                self._room_bytes = 0
                # What follows is not the rest of the line that is cut off here.
                yield from self.finish()

    def finish(self) -> Iterator[TaskLine]:
        """Yield the line that has no end yet, if there is one."""
        yield from self._lines(self._joiner.finish())

    def _lines(self, lines: list[bytes]) -> Iterator[TaskLine]:
        attribution: LiveAttribution = "exact" if len(self._tasks) == 1 else "shared" if self._tasks else "none"
        for line in lines:
            if line.strip():
                yield TaskLine(line.decode("utf-8", "replace"), self._tasks, attribution)
