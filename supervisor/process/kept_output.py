"""The beginning and the end of a stream, in bounded memory."""

DEFAULT_MAX_KEPT_BYTES = 1024 * 1024


class KeptOutput:
    """Keeps all of a stream up to a limit, then its first and its last half of that, and counts what was between.

    Args:
        max_kept_bytes: The limit, at least 2.
    """

    def __init__(self, max_kept_bytes: int = DEFAULT_MAX_KEPT_BYTES) -> None:
        if max_kept_bytes < 2:
            raise ValueError(f"max_kept_bytes is {max_kept_bytes}; it must be at least 2")
        self._max_head_bytes = max_kept_bytes // 2
        self._max_tail_bytes = max_kept_bytes - self._max_head_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._total_bytes = 0

    @property
    def dropped_bytes(self) -> int:
        """How many bytes between the beginning and the end were not kept."""
        return max(0, self._total_bytes - len(self._head) - self._max_tail_bytes)

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._total_bytes += len(data)
        room = self._max_head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Only now and then: cutting the front off moves all the rest.
        if len(self._tail) > 2 * self._max_tail_bytes:
            del self._tail[: -self._max_tail_bytes]

    def value(self) -> bytes:
        """Return what was kept, with a line in the middle that says how much is missing, if any is."""
        tail = bytes(self._tail[-self._max_tail_bytes :])
        if not self.dropped_bytes:
            return bytes(self._head) + tail
        return bytes(self._head) + f"\n[{self.dropped_bytes} bytes left out]\n".encode() + tail
