"""Text of any length in bounded memory: its beginning and its end."""


class BoundedText:
    """Collects bytes; when there are too many, those in the middle go, and are counted.

    Args:
        max_bytes: Most that is kept; a quarter of it from the beginning. Up to twice as much is held meanwhile, so that
            adding is cheap.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_head_bytes = max_bytes // 4
        self._max_tail_bytes = max_bytes - self._max_head_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._head)

    @property
    def dropped_bytes(self) -> int:
        """How many are missing in the middle."""
        return self._dropped_bytes + max(0, len(self._tail) - self._max_tail_bytes)

    def add(self, data: bytes) -> None:
        """Append."""
        room = self._max_head_bytes - len(self._head)
        if room:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._max_tail_bytes:
            excess = len(self._tail) - self._max_tail_bytes
            del self._tail[:excess]
            self._dropped_bytes += excess

    def text(self) -> str:
        """Return what was kept; a note of its own stands where something is missing."""
        if not self.dropped_bytes:
            return _decode(self._head + self._tail)
        tail = self._tail[-self._max_tail_bytes :]
        return f"{_decode(self._head)}\n... {self.dropped_bytes} bytes left out ...\n{_decode(tail)}"


def _decode(data: bytearray) -> str:
    return data.decode("utf-8", "replace")
