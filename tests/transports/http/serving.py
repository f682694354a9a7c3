"""Runs the real server in a thread of its own, and talks to it in raw bytes."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.transports.http.scripted_gateway import DEADLINE_S, ScriptedGateway
from transports.http.app import create_app
from transports.http.limits import HttpLimits, HttpSecurity
from transports.http.server import HttpServer

LIMITS = HttpLimits(graceful_stop_s=1.0)


class Serving:
    """A server that runs. `stop` may be called early by a test of stopping."""

    def __init__(self, gateway: ScriptedGateway, limits: HttpLimits, security: HttpSecurity) -> None:
        app = create_app(gateway, limits, security, live=gateway.live, metrics=gateway.metrics)
        self.server = HttpServer(app, limits, host="127.0.0.1", port=0)
        self.url = self.server.url
        self.port = self.server.address[1]
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] = self._loop.create_task(self.server.serve())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def call(self, what: Callable[[], None]) -> None:
        """Let the server's loop do something."""
        self._loop.call_soon_threadsafe(what)

    def call_later(self, delay_s: float, what: Callable[[], None]) -> None:
        """The same, some time later."""
        self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, what)

    def begin_stop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def serving(
    gateway: ScriptedGateway, limits: HttpLimits = LIMITS, security: HttpSecurity | None = None, **changes: Any
) -> Iterator[Serving]:
    """A running server; keyword arguments change the limits."""
    running = Serving(gateway, msgspec.structs.replace(limits, **changes), security or HttpSecurity())
    try:
        yield running
    finally:
        gateway.gate.open()
        running.begin_stop()
        running.join()


class RawClient:
    """One connection, byte for byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        lines = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
        lines.update(headers or {})
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(head.encode("latin-1") + b"\r\n" + body)

    def head(self) -> tuple[int, dict[str, str]]:
        status_line = self._file.readline()
        assert status_line, "the connection closed before a response"
        headers: dict[str, str] = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return int(status_line.split()[1]), headers

    def chunk(self) -> bytes:
        """One chunk of a chunked body; empty for the terminator, AssertionError for a cut."""
        size_line = self._file.readline()
        assert size_line, "the connection was cut without a terminator"
        data = self._file.read(int(size_line, 16) + 2)
        return data[:-2]

    def chunked_body(self) -> bytes:
        chunks: list[bytes] = []
        while data := self.chunk():
            chunks.append(data)
        return b"".join(chunks)

    def whole(self) -> tuple[int, dict[str, str], Any]:
        """A response with a length, its JSON decoded."""
        status, headers = self.head()
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def at_end(self) -> bool:
        return self._file.read(1) == b""


def chat_body(**fields: Any) -> bytes:
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def sse_events(body: bytes) -> list[str]:
    """The data of each event of a stream, comments left out."""
    blocks = body.decode().split("\n\n")
    assert blocks[-1] == "", "the stream ends in the middle of an event"
    return [block.removeprefix("data: ") for block in blocks[:-1] if not block.startswith(":")]
