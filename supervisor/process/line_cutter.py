"""Bytes in any chunking -> whole lines, for showing them: nothing is left out, and memory is bounded."""

import re

DEFAULT_MAX_LINE_BYTES = 64 * 1024

_CRLF = re.compile(rb"\r+\n")
_CR_AT_LINE_START = re.compile(rb"(?<=\n)\r+")
_CR = re.compile(rb"\r+")
_MAX_CHARACTER_BYTES = 4


class LineCutter:
    """One stream. Also a CR ends a line, so that a progress bar shows its states and hides nothing behind them.

    Lines do not depend on the chunking, as long as they are shorter than the limit and nobody calls `flush`.

    Args:
        max_line_bytes: A line that grows beyond this comes in pieces, each of them a line.
    """

    def __init__(self, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._pending = bytearray()
        self._line_end_was_given = False

    @property
    def has_pending(self) -> bool:
        """True while a line has begun and not ended."""
        return bool(self._pending)

    def feed(self, data: bytes) -> bytes:
        """Take a chunk; return the lines that it completed, each with its LF; empty when there are none."""
        ended_by_cr = self._is_ended_by_cr(data)
        if b"\r" in data:
            data = self._without_cr(data)
        if self._line_end_was_given and data:
            # The line that was given out early ends only now.
            data = data.removeprefix(b"\n")
            self._line_end_was_given = False
        end = data.rfind(b"\n") + 1
        lines = bytes(self._pending) + data[:end] if end else b""
        if end:
            self._pending.clear()
            self._line_end_was_given = ended_by_cr
        self._pending += data[end:]
        if len(self._pending) >= self._max_line_bytes:
            lines += self.flush()
        return lines

    def flush(self) -> bytes:
        """Return the unfinished line as a line, without the beginning of a character that has not arrived whole."""
        held_back = _unfinished_character(self._pending)
        whole = bytes(self._pending[: len(self._pending) - held_back])
        return self._give_out(whole)

    def finish(self) -> bytes:
        """Return all that is left, as a line; empty when there is nothing. The stream has ended."""
        return self._give_out(bytes(self._pending))

    def _give_out(self, text: bytes) -> bytes:
        if not text:
            return b""
        del self._pending[: len(text)]
        self._line_end_was_given = not self._pending
        return text + b"\n"

    def _is_ended_by_cr(self, data: bytes) -> bool:
        """Whether a CR at the end of `data` ends a line, so that an LF that comes next belongs to it."""
        if not data.endswith(b"\r"):
            return False
        before = data.rstrip(b"\r")
        return not before.endswith(b"\n") if before else bool(self._pending)

    def _without_cr(self, data: bytes) -> bytes:
        data = _CR_AT_LINE_START.sub(b"", _CRLF.sub(b"\n", data))
        return _CR.sub(b"\n", data if self._pending else data.lstrip(b"\r"))


def _unfinished_character(text: bytearray) -> int:
    """How many bytes at the end of `text` begin a UTF-8 character that is not complete."""
    for length in range(1, min(len(text), _MAX_CHARACTER_BYTES) + 1):
        byte = text[-length]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return length if needed > length else 0
    return 0
