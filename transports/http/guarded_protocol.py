"""uvicorn's HTTP/1.1 protocol with the bounds that it lacks: of a request's head, a refused body, an unread answer.

Below the application nothing has read a header yet, so what is refused here is answered here, in the shape of the API
that the path belongs to, as far as it is known.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transports.http.access import head_too_large
from transports.http.dialect import Dialect, dialect_of
from transports.http.errors import ApiError
from transports.http.limits import HttpLimits
from transports.http.request_id import new_request_id


class _Reading(Enum):
    """What the next byte belongs to. A response may still be under way while the next request is awaited."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class GuardedHttpProtocol(HttpToolsProtocol):
    """One connection. `limits` is set by `guarded_protocol`, since uvicorn makes the instances."""

    limits: ClassVar[HttpLimits] = HttpLimits()

    _reading = _Reading.NOTHING
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _unread_check: asyncio.TimerHandle | None = None
    url = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Give a new connection a deadline for its first byte."""
        super().connection_made(transport)
        self._set_deadline(self.limits.head_timeout_s, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the deadlines with the connection."""
        self._clear_deadline()
        if self._unread_check is not None:
            self._unread_check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head while it is not complete."""
        # Some clients send a line end after a request; it must not cost them the answer.
        if self._reading is _Reading.NOTHING and (data.strip(b"\r\n") or not self._is_answering):
            self._begin_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._reading is _Reading.HEAD and self._head_bytes > self.limits.max_head_bytes:
            self._refuse(head_too_large(self.limits))

    def on_message_begin(self) -> None:
        """A request line begins, perhaps in the same bytes as the end of the last request."""
        super().on_message_begin()
        self.scope.setdefault("state", {})["abort_connection"] = self.transport.abort
        if self._reading is _Reading.NOTHING:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep headers; trailers after a chunked body are dropped, nobody has checked them."""
        if self._reading is _Reading.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The application may look at the request now."""
        super().on_headers_complete()
        self._reading = _Reading.BODY
        self._clear_deadline()

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._reading = _Reading.NOTHING
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Read on for a while when the request was refused before its end: closing at once could lose the answer."""
        super().on_response_complete()
        if self._unread_check is None:
            self._check_unread(0)
        if self._reading is _Reading.BODY:
            self._set_deadline(self.limits.linger_s, self._close)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser cannot read; a request line beyond 64 KiB is one of these."""
        if self._reading is _Reading.HEAD and self._head_bytes > self.limits.max_head_bytes:
            self._refuse(head_too_large(self.limits))
            return
        self._refuse(ApiError(400, "invalid_http", f"{msg} Send HTTP/1.1."))

    @property
    def _is_answering(self) -> bool:
        """Whether a response is under way."""
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def _begin_head(self) -> None:
        self._reading = _Reading.HEAD
        self._head_bytes = 0
        self._set_deadline(self.limits.head_timeout_s, self._on_head_timeout)

    def _on_head_timeout(self) -> None:
        message = f"The request's headers did not arrive within {self.limits.head_timeout_s:g} s. Send them whole."
        self._refuse(ApiError(408, "request_timeout", message, retryable=True))

    def _check_unread(self, unread_bytes_before: int) -> None:
        """Cut a connection whose client takes nothing more of an answer that is complete: closing would wait for it."""
        self._unread_check = None
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes and unread_bytes == unread_bytes_before:
            self.transport.abort()
        elif unread_bytes:
            self._unread_check = self.loop.call_later(self.limits.write_timeout_s, self._check_unread, unread_bytes)

    def _refuse(self, error: ApiError) -> None:
        if self.transport.is_closing():
            return
        if not self._is_answering:
            self.transport.write(_whole_response(error, dialect_of(self.url.decode("latin-1"))))
        self._close()

    def _close(self) -> None:
        self._clear_deadline()
        if not self.transport.is_closing():
            self.transport.close()

    def _set_deadline(self, timeout_s: float, on_timeout: Callable[[], None]) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(timeout_s, on_timeout)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def guarded_protocol(limits: HttpLimits) -> type[GuardedHttpProtocol]:
    """Return the protocol class with `limits`, for uvicorn's `http` setting."""
    return type("BoundGuardedHttpProtocol", (GuardedHttpProtocol,), {"limits": limits})


def _whole_response(error: ApiError, dialect: Dialect) -> bytes:
    request_id = new_request_id()
    body = dialect.encode_error(error, request_id)
    headers = {
        **error.response_headers(),
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **{name.decode("ascii"): request_id for name in dialect.request_id_headers},
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
