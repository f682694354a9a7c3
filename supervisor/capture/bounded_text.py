"""Text of any length in bounded memory: its beginning and its end."""

from collections import deque


class BoundedText:
    """Collects bytes; when there are too many, those in the middle go, and are counted.

    Args:
        max_bytes: Most that is kept; a quarter of it from the beginning.
    """

    def __init__(self, max_bytes: int) -> None:
        self._head_room_bytes = max_bytes // 4
        self._max_tail_bytes = max_bytes - self._head_room_bytes
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.dropped_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._head)

    def add(self, data: bytes) -> None:
        """Append. Keeps a reference, no copy, unless the bytes are cut."""
        if self._head_room_bytes:
            self._head.append(data[: self._head_room_bytes])
            data = data[self._head_room_bytes :] if len(data) > self._head_room_bytes else b""
            self._head_room_bytes -= len(self._head[-1])
        if not data:
            return
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes > self._max_tail_bytes:
            excess, oldest = self._tail_bytes - self._max_tail_bytes, self._tail.popleft()
            if len(oldest) > excess:
                self._tail.appendleft(oldest[excess:])
                oldest = oldest[:excess]
            self._tail_bytes -= len(oldest)
            self.dropped_bytes += len(oldest)

    def text(self) -> str:
        """Return what was kept; a note of its own stands where something is missing."""
        head, tail = b"".join(self._head), b"".join(self._tail)
        if not self.dropped_bytes:
            return _decode(head + tail)
        return f"{_decode(head)}\n... {self.dropped_bytes} bytes left out ...\n{_decode(tail)}"


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
