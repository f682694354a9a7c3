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
        written: str = request.path_params["request_id"]
        meant = _meant(written, self._gateway.requests())
        if request.method != "DELETE":
            return _json(meant)
        cancelled = self._gateway.cancel(meant.id)
        if cancelled is None:
            raise _not_found(written)
        return _json(cancelled)

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


def _meant(written: str, views: Sequence[RequestView]) -> RequestView:
    """The open request that a client means by its own id or by its answer's; clients choose ids, also misleading ones.

    Raises:
        ApiError: 404 for none; 400 where nobody can know which of two is meant, since the other one must go on.
    """
    of_answers = [written.removeprefix(prefix) for prefix in _ANSWER_PREFIXES if written.startswith(prefix)]
    found = [view for view in views if view.id in (written, *of_answers)]
    if not found:
        raise _not_found(written)
    if len(found) > 1:
        raise ApiError(
            400,
            "invalid_request_error",
            f"{written[:200]!r} is the id of one open request and that of another one's answer. "
            f"Name the second by its own id, {of_answers[0][:200]!r}, or the first by its answer's.",
            param="id",
        )
    return found[0]


def _not_found(request_id: str) -> ApiError:
    return ApiError(
        404,
        "request_not_found",
        f"No open request has the id {request_id[:200]!r}; it may have ended. `/v1/requests` lists the open ones.",
        param="id",
    )


def _json(value: RequestsView | RequestView | CancelledView) -> Response:
    return Response(_ENCODER.encode(value), media_type="application/json")
