"""The wire form of event streams that name their events; chat chunks are written faster by `openai/chunks.py`."""

from typing import Any

from transports.http.json_line import encode_line

MEDIA_TYPE = "text/event-stream; charset=utf-8"


def sse_comment(note: str) -> bytes:
    """Return a comment: clients skip it, proxies see traffic. `note` is one line of ASCII."""
    return f": {note}\n\n".encode("ascii")


def sse_event(name: str, data: Any) -> bytes:
    """Return one event with its name and its data as JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode("ascii"), encode_line(data))
