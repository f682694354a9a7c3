"""Failures as Anthropic's clients read them."""

from typing import Any

import msgspec

from transports.http.errors import ApiError
from transports.http.json_line import encode_line

# Anthropic's words where they are not OpenAI's; what is not here follows the half of the status range.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    499: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_object(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the body of a failed response, which is also the data of a stream's `error` event."""
    body: dict[str, Any] = msgspec.to_builtins(error.body(request_id))
    default = "invalid_request_error" if error.status < 500 else "api_error"
    body["type"] = _TYPES.get(error.status, default)
    return {"type": "error", "error": body, "request_id": request_id}


def encode_error(error: ApiError, request_id: str) -> bytes:
    """Return the whole body of a failed response."""
    return encode_line(error_object(error, request_id))
