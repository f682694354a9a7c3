"""A client of event streams that costs little and knows when each piece arrived."""

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 120.0
_READ_BYTES = 64 * 1024


@dataclass
class Streamed:
    """One answer as the client saw it. Moments are monotonic seconds; `pieces` is what each `recv` gave."""

    sent_at_s: float
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def ended_at_s(self) -> float:
        """When the last bytes came."""
        return self.pieces[-1][0]

    @property
    def body(self) -> bytes:
        """Everything that came, head included."""
        return b"".join(data for _, data in self.pieces)

    @property
    def seconds(self) -> float:
        """From the request to the last byte."""
        return self.ended_at_s - self.sent_at_s

    def require_whole(self, tokens: int) -> None:
        """Check that the answer ended at its token limit.

        Raises:
            RuntimeError: It did not, so that its time says nothing.
        """
        body = self.body.replace(b" ", b"")
        if b'"finish_reason":"length"' not in body or b"[DONE]" not in body:
            raise RuntimeError(f"the answer of {tokens} tokens did not end well: ...{self.body[-500:]!r}")


def stream(port: int, body: dict[str, Any], on_data: Callable[[bytes], object] | None = None) -> Streamed:
    """Send a completion request to 127.0.0.1 and read the answer to its end. Blocks.

    Args:
        port: Where the server listens.
        body: The request.
        on_data: Called with what each read gave, right after it.
    """
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        streamed = Streamed(time.monotonic())
        connection.sendall(head + content)
        while data := connection.recv(_READ_BYTES):
            streamed.pieces.append((time.monotonic(), data))
            if on_data is not None:
                on_data(data)
            if b"data: [DONE]" in data:
                break
    return streamed
