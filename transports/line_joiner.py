"""Bytes in any chunking -> lines, nothing lost and nothing twice, in bounded memory. Pure."""

_LF, _CR = b"\n", b"\r"


class LineJoiner:
    """Joins what one writer wrote in pieces. A line ends at LF, CRLF or CR; progress bars redraw themselves with CR.

    An empty line is one that ends at LF with nothing in it. A line over `max_line_bytes` is returned in pieces.

    Args:
        max_line_bytes: Longest piece, at least 64.
    """

    def __init__(self, max_line_bytes: int = 16 * 1024) -> None:
        if max_line_bytes < 64:
            raise ValueError(f"max_line_bytes is {max_line_bytes}; it must be at least 64")
        self._max_line_bytes = max_line_bytes
        self._pending = b""

    @property
    def is_empty(self) -> bool:
        """Whether no line is unfinished."""
        return not self._pending

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the lines that they complete, without their ends."""
        pending = self._pending + data
        end = pending.rfind(_LF) + 1
        lines: list[bytes] = []
        for line in pending[:end].split(_LF)[:-1]:
            self._add_segments(lines, line)
        rest = pending[end:]
        # A CR at the very end may belong to a CRLF.
        redrawn = rest.rfind(_CR, 0, len(rest) - 1) + 1 if rest else 0
        if rest[:redrawn].strip(_CR):
            self._add_segments(lines, rest[:redrawn])
        rest = rest[redrawn:]
        while len(rest) > self._max_line_bytes:
            lines.append(rest[: self._max_line_bytes])
            rest = rest[self._max_line_bytes :]
        self._pending = rest
        return lines

    def finish(self) -> list[bytes]:
        """Return the line that has no end yet, if there is one."""
        pending, self._pending = self._pending, b""
        lines: list[bytes] = []
        if pending.strip(_CR):
            self._add_segments(lines, pending)
        return lines

    def _add_segments(self, lines: list[bytes], line: bytes) -> None:
        if _CR not in line and len(line) <= self._max_line_bytes:
            lines.append(line)
            return
        segments = [segment for segment in line.split(_CR) if segment] or [b""]
        for segment in segments:
            for start in range(0, max(len(segment), 1), self._max_line_bytes):
                lines.append(segment[start : start + self._max_line_bytes])
