"""Which API a path belongs to, and so in which shape its failures are told. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Scope

from transports.http.anthropic.errors import encode_error as anthropic_error
from transports.http.errors import ApiError
from transports.http.ollama.errors import encode_error as ollama_error


class Dialect(NamedTuple):
    """How an API tells failures and names requests. `request_id_headers` are what its clients read, in lower case."""

    encode_error: Callable[[ApiError, str], bytes]
    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)


_OPENAI = Dialect(ApiError.encode)
_ANTHROPIC = Dialect(anthropic_error, (b"x-request-id", b"request-id"))
_OLLAMA = Dialect(ollama_error)


def dialect_of(path: str) -> Dialect:
    """Return the dialect of a path, served or not; OpenAI's for all that are no other API's."""
    if path.startswith("/v1/messages"):
        return _ANTHROPIC
    return _OLLAMA if path.startswith("/api/") else _OPENAI


def error_response(error: ApiError, scope: Scope, request_id: str) -> Response:
    """Return the whole response that tells `error` to the client of this request."""
    content = dialect_of(scope["path"]).encode_error(error, request_id)
    return Response(content, error.status, headers=error.response_headers(), media_type="application/json")
