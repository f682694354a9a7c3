"""What the HTTP surface tells about requests to whoever traces them."""

from typing import Protocol

from starlette.types import Scope

from transports.http.errors import ApiError


def note_error(scope: Scope, error: ApiError) -> None:
    """Remember for the trace of a request that this is its answer."""
    scope["state"]["error_code"] = error.code


class RequestTrace(Protocol):
    """One request that is traced."""

    def end(self, status: int | None, error_code: str | None) -> None:
        """It is over.

        Args:
            status: That of the answer; None when there was none, because the client left.
            error_code: Why there was no answer but an error, or that the client left; None for an answer, also one that
                tells of a failure itself.
        """
        ...


class RequestTracing(Protocol):
    """Who traces requests. Called on the event loop; must not block or raise."""

    def begin(self, scope: Scope, request_id: str) -> RequestTrace | None:
        """A request came, and is answered in the context of this call; None when it is not to be traced."""
        ...
