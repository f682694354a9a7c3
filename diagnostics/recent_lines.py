"""The last lines of a stream, kept cheaply: raw bytes until somebody asks for them."""

from collections import deque
from collections.abc import Iterable

from diagnostics.lines import Line

_MAX_CHARACTERS = 1000


class RecentLines:
    """One entry for each of the last lines that are not empty: the beginning of its last segment.

    Args:
        max_lines: How far back it goes, in lines of the stream.
        max_line_bytes: The line splitter's limit, so that both ways of adding a line give the same text.
    """

    def __init__(self, max_lines: int, max_line_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_raw_bytes = min(max_line_bytes, 4 * _MAX_CHARACTERS + 4)
        self._max_line_bytes = max_line_bytes
        self._entries: deque[tuple[int, str | bytes]] = deque(maxlen=max_lines)

    def put(self, line: Line) -> None:
        """Add the next segment; a later segment of the same line takes the place of the earlier one."""
        if not line.continued:
            self._put(line.index, line.text[:_MAX_CHARACTERS])

    def put_raw(self, raw: bytes, end_index: int) -> None:
        """Add whole segments without reading them. `end_index` numbers the line after the last LF."""
        parts = raw.rsplit(b"\n", self._max_lines + 1)
        if len(parts) > self._max_lines + 1:
            del parts[0]
        first_index = end_index - len(parts) + 1
        for index, part in enumerate(parts, first_index):
            segment = part
            if b"\r" in part:
                segment = part.rstrip(b"\r").rpartition(b"\r")[2]
            if segment:
                self._put(index, segment[: self._max_raw_bytes])

    def _put(self, index: int, text: str | bytes) -> None:
        if self._entries and self._entries[-1][0] == index:
            self._entries.pop()
        self._entries.append((index, text))

    def with_lines(self, lines: Iterable[Line]) -> "RecentLines":
        """A copy with more lines at its end."""
        copy = RecentLines(self._max_lines, self._max_line_bytes)
        copy._entries.extend(self._entries)
        for line in lines:
            copy.put(line)
        return copy

    def between(self, first_index: int, end_index: int) -> list[tuple[int, str]]:
        """Number and text of the lines from `first_index` up to, not including, `end_index`."""
        return [(index, _text(text)) for index, text in self._entries if first_index <= index < end_index]

    def previous(self, index: int) -> tuple[int, str]:
        """Number and text of the line before `index`, or of the segment before it on the same line.

        One empty line between is let pass; without a line there, `index` and an empty text.
        """
        if not self._entries or self._entries[-1][0] < index - 2:
            return index, ""
        number, text = self._entries[-1]
        return number, _text(text)


def _text(entry: str | bytes) -> str:
    return entry if isinstance(entry, str) else entry.decode("utf-8", "replace")[:_MAX_CHARACTERS]
