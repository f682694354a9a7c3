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
        max_lines_per_s: The same for short lines, whose number costs more than their length.
    """

    def __init__(
        self, max_bytes_per_s: int = 64 * 1024, max_line_bytes: int = 4 * 1024, max_lines_per_s: int = 1_000
    ) -> None:
        self._max_bytes_per_s = max_bytes_per_s
        self._max_lines_per_s = max_lines_per_s
        self._joiner = LineJoiner(max_line_bytes)
        self._tasks: tuple[str, ...] = ()
        self._window_ends_at = 0.0
        self._room_bytes = 0
        self._room_lines = max_lines_per_s
        self._skipped_bytes = 0

    def feed(self, pieces: Sequence[Segment], now: float) -> Iterator[TaskLine | Skipped]:
        """Take the stream as it came, at monotonic `now`; yield the lines that are whole now."""
        if now >= self._window_ends_at:
            self._window_ends_at = now + _WINDOW_S
            self._room_bytes = self._max_bytes_per_s
            self._room_lines = self._max_lines_per_s
            yield from self._skipped()
        for piece in pieces:
            if piece.tasks != self._tasks:
                yield from self._unfinished()
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
                yield from self._unfinished()

    def finish(self) -> Iterator[TaskLine | Skipped]:
        """The stream has ended: yield the line that has no end, if there is one, and what was skipped last."""
        yield from self._unfinished()
        yield from self._skipped()

    def _unfinished(self) -> Iterator[TaskLine]:
        yield from self._lines(self._joiner.finish())

    def _skipped(self) -> Iterator[Skipped]:
        if self._skipped_bytes:
            yield Skipped(self._skipped_bytes)
            self._skipped_bytes = 0

    def _lines(self, lines: list[bytes]) -> Iterator[TaskLine]:
        attribution: LiveAttribution = "exact" if len(self._tasks) == 1 else "shared" if self._tasks else "none"
        for line in lines:
            if not line.strip():
                continue
            if self._room_lines == 0:
                self._skipped_bytes += len(line) + 1
            else:
                self._room_lines -= 1
                yield TaskLine(line.decode("utf-8", "replace"), self._tasks, attribution)
