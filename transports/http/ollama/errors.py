"""Failures as Ollama's clients read them: `error` is the sentence, and the other keys stand beside it."""

from typing import Any

import msgspec

from transports.http.errors import ApiError
from transports.http.json_line import encode_line


def error_object(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the body of a failed response."""
    body: dict[str, Any] = msgspec.to_builtins(error.body(request_id))
    return {"error": body.pop("message"), **body}


def encode_error(error: ApiError, request_id: str) -> bytes:
    """Return the whole body of a failed response."""
    return encode_line(error_object(error, request_id))
