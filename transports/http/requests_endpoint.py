"""The requests that are open: which they are, how far they have come, and an end to one of them."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from transports.http.errors import ApiError
from transports.http.gateway import Gateway
from transports.http.request_view import CancelledView, RequestsView, RequestView

_ENCODER = msgspec.json.Encoder()

# What the surfaces put in front of a task's id to make an answer's.
_ANSWER_PREFIXES = ("chatcmpl-", "cmpl-", "resp_", "msg_")


class RequestsEndpoint:
    """Handlers for operators and for clients that want to end what they began elsewhere.

    Args:
        gateway: The supervisor.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list(self, request: Request) -> Response:
        """List the open requests, oldest first."""
        del request
        return _json(RequestsView(self._gateway.requests()))

    async def one(self, request: Request) -> Response:
        """Show one open request, or end it; its own client then gets an error that says so."""
        wanted = _candidates(request)
        found = self._cancel(wanted) if request.method == "DELETE" else self._find(wanted)
        if found is None:
            raise _not_found(wanted[0])
        return _json(found)

    def _find(self, wanted: Sequence[str]) -> RequestView | None:
        return next((view for view in self._gateway.requests() if view.id in wanted), None)

    def _cancel(self, wanted: Sequence[str]) -> CancelledView | None:
        for request_id in wanted:
            cancelled = self._gateway.cancel(request_id)
            if cancelled is not None:
                return cancelled
        return None

    async def cancel_response(self, request: Request) -> Response:
        """Refuse to cancel a stored response of the Responses API: none is stored."""
        response_id: str = request.path_params["response_id"]
        raise ApiError(
            400,
            "invalid_request_error",
            f"The response {response_id[:200]!r} is not stored: only responses made with `background` can be "
            "cancelled here, and this server makes none. Close the connection, or DELETE /v1/requests/ID.",
            param="response_id",
        )


def _candidates(request: Request) -> tuple[str, ...]:
    """The ids that a client may mean: the one it wrote, and that of the task when it wrote an answer's."""
    written: str = request.path_params["request_id"]
    return (written, *(written.removeprefix(prefix) for prefix in _ANSWER_PREFIXES if written.startswith(prefix)))


def _not_found(request_id: str) -> ApiError:
    return ApiError(
        404,
        "request_not_found",
        f"No open request has the id {request_id[:200]!r}; it may have ended. `/v1/requests` lists the open ones.",
        param="id",
    )


def _json(value: RequestsView | RequestView | CancelledView) -> Response:
    return Response(_ENCODER.encode(value), media_type="application/json")
