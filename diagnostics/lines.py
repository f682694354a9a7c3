"""Bytes in any chunking -> numbered lines, in bounded memory.

A line ends at LF. A CR inside it separates segments (progress bars redraw themselves that way); each segment is
returned on its own with the number of its line, so that a message glued behind a bar is seen, and seen early.
`str.splitlines` is not used: it also splits at characters that are plain text here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_MAX_LINE_BYTES = 16 * 1024

_CR = re.compile(rb"\r+")


@dataclass(frozen=True, slots=True)
class Line:
    """One piece of text and the 0-based number of the LF-terminated line that it is part of.

    `continued` is True for the second and later pieces of a segment that was longer than the limit.
    """

    index: int
    text: str
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Raw bytes that end at an LF or CR, or a forced piece of an over-long segment.

    `first_index` is the number of the line that the block starts in. `repeated_bytes` of its beginning were already
    in the previous block: over-long segments overlap, so that a message across the cut is found.
    """

    raw: bytes
    first_index: int
    repeated_bytes: int = 0


class LineSplitter:
    """Splits one stream. The lines do not depend on how the bytes were chunked.

    Empty lines and segments are counted but not returned. A segment over `max_line_bytes` is returned in pieces of
    that size. Memory is at most `max_line_bytes` plus the chunk in hand. Invalid UTF-8 becomes U+FFFD.

    Args:
        max_line_bytes: Longest piece in bytes, at least 64.
    """

    def __init__(self, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        if max_line_bytes < 64:
            raise ValueError(f"max_line_bytes is {max_line_bytes}; it must be at least 64")
        self._max_bytes = max_line_bytes
        self._overlap_bytes = min(256, max_line_bytes // 4)
        self._pending = bytearray()
        self._repeated_bytes = 0
        self._index = 0

    @property
    def complete_lines(self) -> int:
        """How many LFs were seen."""
        return self._index

    @property
    def pending(self) -> Block:
        """What has arrived of the unfinished segment."""
        return Block(bytes(self._pending), self._index, self._repeated_bytes)

    def feed(self, data: bytes) -> list[Line]:
        """Take a chunk and return the segments that it completed, in order."""
        return [line for block in self.cut(data) for line in self.split(block)]

    def finish(self) -> list[Line]:
        """The unfinished last line, if there is one. Call once, at the end of the stream."""
        block = self.take_pending()
        return [] if block is None else list(self.split(block))

    def take_pending(self) -> Block | None:
        """Hand over the unfinished segment as a block of its own."""
        block = self.pending
        self._pending.clear()
        self._repeated_bytes = 0
        return block if len(block.raw) > block.repeated_bytes else None

    def cut(self, data: bytes) -> list[Block]:
        """Take a chunk and return whole blocks, for callers that want to look at bytes before splitting."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        blocks: list[Block] = []
        if end:
            raw = bytes(self._pending) + data[:end] if self._pending else data[:end]
            blocks.append(Block(raw, self._index, self._repeated_bytes))
            self._index += data.count(b"\n", 0, end)
            self._pending.clear()
            self._repeated_bytes = 0
        self._pending += data[end:] if end else data
        if len(self._pending) >= self._max_bytes:
            blocks.extend(self._forced_pieces())
        return blocks

    def _forced_pieces(self) -> Iterator[Block]:
        segment, start, repeated = bytes(self._pending), 0, self._repeated_bytes
        while len(segment) - start >= self._max_bytes:
            yield Block(segment[start : start + self._max_bytes], self._index, repeated)
            start += self._max_bytes - self._overlap_bytes
            repeated = self._overlap_bytes
        self._pending = bytearray(segment[start:])
        self._repeated_bytes = repeated

    def split(self, block: Block) -> Iterator[Line]:
        """The lines of a block that `cut` returned."""
        index, repeated = block.first_index, block.repeated_bytes
        for raw_line in block.raw.split(b"\n"):
            for segment in _CR.split(raw_line):
                yield from self._pieces(segment, index, repeated)
                repeated = 0
            index += 1

    def _pieces(self, segment: bytes, index: int, repeated: int) -> Iterator[Line]:
        start, continued = 0, repeated > 0
        while len(segment) - start >= self._max_bytes:
            yield Line(index, _decode(segment[start : start + self._max_bytes]), continued)
            start += self._max_bytes - self._overlap_bytes
            repeated, continued = self._overlap_bytes, True
        if len(segment) - start > repeated:
            yield Line(index, _decode(segment[start:]), continued)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
