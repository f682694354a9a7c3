"""The outermost layer: who may come in, the request id, and an answer in our shape for whatever goes wrong inside."""

import asyncio
import logging
from collections.abc import Callable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transports.http.access import check_access
from transports.http.dialect import dialect_of, error_response
from transports.http.errors import ApiError, internal_error, stopping_error
from transports.http.limits import HttpLimits, HttpSecurity
from transports.http.request_body import ClientGone
from transports.http.request_counts import CLIENT_GONE, RequestCounts
from transports.http.request_id import choose_request_id
from transports.http.request_tracing import RequestTracing, note_error

_LOG = logging.getLogger("ringwarden.http")
_LAST_WORDS_S = 1.0


class Edge:
    """ASGI middleware around the whole application.

    Args:
        app: The application.
        limits: Header bytes allowed.
        security: Hosts and key allowed.
        requests: Counts the answers.
        tracing: Is told of each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: HttpLimits,
        security: HttpSecurity,
        requests: RequestCounts,
        tracing: RequestTracing | None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._security = security
        self._requests = requests
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, always with an `x-request-id`, never with an error shape that is not the path's."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(scope, receive, send, choose_request_id(scope), self._requests)
        trace = None if self._tracing is None else self._tracing.begin(scope, response.request_id)
        try:
            await self._answer(scope, receive, response)
        finally:
            if trace is not None:
                trace.end(response.status, scope["state"].get("error_code"))

    async def _answer(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        try:
            check_access(scope, self._limits, self._security)
            await self._app(scope, receive, response.send)
        except ApiError as error:
            await response.refuse(error)
        except ClientGone:
            _LOG.info("request %s: the client went away", response.request_id, extra={"request": response.request_id})
            response.client_gone()
        except asyncio.CancelledError:
            with anyio.move_on_after(_LAST_WORDS_S, shield=True):
                await response.refuse(stopping_error())
            if not response.ended:
                raise
        except Exception:  # noqa: BLE001 - whatever it is, it ends in the documented shape or in a cut.
            _LOG.exception(
                "request %s failed inside the service", response.request_id, extra={"request": response.request_id}
            )
            await response.refuse(internal_error())
            response.abort()


class _Response:
    """Sees how far a response has come."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, requests: RequestCounts) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._requests = requests
        self.request_id = request_id
        self.status: int | None = None
        self.started = False
        self.ended = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            self._requests.add(self._scope, message["status"])
            request_id = self.request_id.encode()
            names = dialect_of(self._scope["path"]).request_id_headers
            message["headers"] = [*message.get("headers", ()), *((name, request_id) for name in names)]
        await self._send(message)
        # Not before: a client that reads nothing can hold up the last piece as well.
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended = True

    def client_gone(self) -> None:
        """End an answer that nobody reads."""
        self._scope["state"]["error_code"] = "client_gone"
        if not self.started:
            self._requests.add(self._scope, CLIENT_GONE)
        self.abort()

    def abort(self) -> None:
        """Cut the connection when the head is out and the body cannot be made whole.

        Closing would first wait for a client that may not read; and only a cut is no success to any client.
        """
        if self.started and not self.ended:
            abort: Callable[[], None] | None = self._scope["state"].get("abort_connection")
            if abort is not None:
                abort()

    async def refuse(self, error: ApiError) -> None:
        """Answer with `error` unless the head is already out."""
        if not self.started:
            note_error(self._scope, error)
            response = error_response(error, self._scope, self.request_id)
            await response(self._scope, self._receive, self.send)
