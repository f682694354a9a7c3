"""Whose output a runner's bytes are: takes the markers out of its streams and finds the tasks. Pure."""

from typing import NamedTuple

from transports.line_joiner import LineJoiner
from transports.markers import MarkerParser, Segment, TasksChanged
from transports.output_events import OutputStream, TaskStderr, TaskStdout

NO_MORE_MARKERS = 2**63
"""The serial of a stream that has ended."""
_WINDOW_S = 1.0


class Attributed(NamedTuple):
    """What some bytes of a stream turned out to be.

    `plain` is the stream as it would be without markers, `segments` the parts of it that belong to tasks, `lines` those
    that a runner does not report itself: native ones, once for each of their tasks. `serial` is that of the last marker
    seen so far. `pieces` is all of the stream that is known here, in order, each with its tasks.
    """

    plain: bytes
    segments: tuple[Segment, ...]
    lines: tuple[TaskStdout | TaskStderr, ...]
    serial: int
    pieces: tuple[Segment, ...] = ()


class AttributedStream:
    """One stream of one runner. Not thread-safe; never blocks, and never raises on what it reads.

    Args:
        stream: Which one.
        marker_token: The runner's; None when it writes no markers.
        max_line_bytes: Longer native lines are reported in pieces.
        max_native_bytes_per_s: How much native output in flight becomes lines, so that a flood cannot slow down what
            reads it. The rest is in `segments` all the same.
    """

    def __init__(
        self,
        stream: OutputStream,
        marker_token: str | None,
        max_line_bytes: int = 16 * 1024,
        max_native_bytes_per_s: int = 256 * 1024,
    ) -> None:
        self._make = TaskStdout if stream == "stdout" else TaskStderr
        self._parser = None if marker_token is None else MarkerParser(marker_token)
        self._max_native_bytes_per_s = max_native_bytes_per_s
        self._joiner = LineJoiner(max_line_bytes)
        self._tasks: tuple[str, ...] = ()
        self._window_ends_at = 0.0
        self._room_bytes = 0

    def feed(self, data: bytes, now: float) -> Attributed:
        """Take bytes as they came.

        Args:
            data: The bytes.
            now: Monotonic seconds.
        """
        if self._parser is None:
            return Attributed(data, (), (), 0, (Segment(data, (), native=True),))
        return self._understand(self._parser, self._parser.feed(data), now)

    def finish(self) -> Attributed:
        """The stream has ended: return what was held back, and the last line."""
        if self._parser is None:
            return Attributed(b"", (), (), 0)
        found = self._understand(self._parser, self._parser.finish(), self._window_ends_at)
        return found._replace(lines=(*found.lines, *self._last_lines()), serial=NO_MORE_MARKERS)

    def _understand(self, parser: MarkerParser, found: list[Segment | TasksChanged], now: float) -> Attributed:
        if len(found) == 1 and isinstance(found[0], Segment) and not found[0].tasks:
            return Attributed(found[0].data, (), (), parser.serial, (found[0],))
        pieces: list[Segment] = []
        lines: list[TaskStdout | TaskStderr] = []
        for piece in found:
            if isinstance(piece, TasksChanged):
                lines += self._last_lines()
                self._tasks = piece.tasks
                continue
            pieces.append(piece)
            if piece.tasks and piece.native and self._has_room(len(piece.data), now):
                lines += self._lines(self._joiner.feed(piece.data))
        plain = b"".join([piece.data for piece in pieces])
        segments = tuple(piece for piece in pieces if piece.tasks)
        return Attributed(plain, segments, tuple(lines), parser.serial, tuple(pieces))

    def _last_lines(self) -> list[TaskStdout | TaskStderr]:
        """A line that was begun while other tasks were in flight is not continued."""
        return self._lines(self._joiner.finish())

    def _lines(self, lines: list[bytes]) -> list[TaskStdout | TaskStderr]:
        attribution = "exact" if len(self._tasks) == 1 else "shared"
        return [
            self._make(task_id, line.decode("utf-8", "replace"), attribution)
            for line in lines
            for task_id in self._tasks
        ]

    def _has_room(self, size: int, now: float) -> bool:
        if now >= self._window_ends_at:
            self._window_ends_at = now + _WINDOW_S
            self._room_bytes = self._max_native_bytes_per_s
        self._room_bytes -= size
        return self._room_bytes >= 0
