"""JSON that no client can mistake for two lines."""

from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()

# Line ends to clients that split text the Unicode way (httpx `iter_lines`), though not to any standard.
_UNICODE_LINE_ENDS = (("\x85".encode(), b"\\u0085"), ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))


def encode_line(value: Any) -> bytes:
    """Return `value` as JSON without any character that some client takes for a line end."""
    encoded = _ENCODER.encode(value)
    if not encoded.isascii():
        for raw, escaped in _UNICODE_LINE_ENDS:
            encoded = encoded.replace(raw, escaped)
    return encoded
