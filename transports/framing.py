"""Length-prefixed frames on a byte stream, without I/O.

A frame is a 4-byte big-endian length and that many bytes of payload. AF_UNIX has no SEQPACKET on macOS, so a stream
socket needs framing of its own; the cap keeps a broken or hostile peer from making us hold its bytes without end.
"""

import struct
from collections.abc import Iterator

_LENGTH = struct.Struct(">I")

DEFAULT_MAX_FRAME_BYTES = 16 * 1024 * 1024


class FrameViolation(Exception):
    """The peer broke the framing: an empty frame or one above the cap. The stream cannot be read any further."""


def encode_frame(payload: bytes, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> bytes:
    """Return `payload` as one frame.

    Raises:
        FrameViolation: When the payload is empty or longer than `max_frame_bytes`.
    """
    _check_length(len(payload), max_frame_bytes)
    return _LENGTH.pack(len(payload)) + payload


class FrameDecoder:
    """Cuts a stream into payloads, whatever the chunking. Holds at most one incomplete frame.

    Args:
        max_frame_bytes: Longest payload accepted.
    """

    def __init__(self, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame; above 0 at EOF the peer died in the middle of a write."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes as they came and yield the payloads that are complete now, in order.

        The bytes are kept even when the iterator is dropped; the next call goes on where it stopped.

        Raises:
            FrameViolation: While iterating, after every payload before the bad length was yielded: a length prefix
                is 0 or above the cap. It is raised again by later calls.
        """
        self._buffer += data
        return self._complete_payloads()

    def _complete_payloads(self) -> Iterator[bytes]:
        start = 0
        try:
            while len(self._buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._buffer, start)
                _check_length(length, self._max_frame_bytes)
                end = start + _LENGTH.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(self._buffer[start + _LENGTH.size : end])
                start = end
                yield payload
        finally:
            del self._buffer[:start]


def _check_length(length: int, max_frame_bytes: int) -> None:
    if not 0 < length <= max_frame_bytes:
        raise FrameViolation(f"frame of {length} bytes; a frame has 1 to {max_frame_bytes} bytes")
