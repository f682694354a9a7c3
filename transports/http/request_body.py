"""Takes a request's bytes within limits and makes a typed struct of them, or says which field is wrong."""

import re
from typing import Any, TypeVar

import anyio
import msgspec
from starlette.types import Receive, Scope

from transports.http.errors import ApiError, invalid_request
from transports.http.limits import HttpLimits

T = TypeVar("T")

_AT_PATH = re.compile(r"^(?P<rule>.*) - at (?:`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")


class ClientGone(Exception):
    """The client closed its connection, or does not read any more; nobody is there to be told anything."""


async def read_body(scope: Scope, receive: Receive, limits: HttpLimits) -> bytes:
    """Return the request's body; never holds more than `max_body_bytes` and one read of it.

    Raises:
        ApiError: 413 when it is longer, before it is read when its length is declared; 408 when it does not arrive.
        ClientGone: When the connection closed first.
    """
    if _declared_length(scope) > limits.max_body_bytes:
        raise _too_large(limits)
    body = bytearray()
    with anyio.move_on_after(limits.body_timeout_s):
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > limits.max_body_bytes:
                raise _too_large(limits)
            more = message.get("more_body", False)
        return bytes(body)
    raise ApiError(
        408,
        "request_timeout",
        f"The request body did not arrive within {limits.body_timeout_s:g} s. Send it whole.",
        retryable=True,
    )


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the body as the decoder's type.

    Raises:
        ApiError: 400; `param` is the path of the field at fault where there is one.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise _wrong_type(str(exc)) from exc
    except RecursionError as exc:
        raise invalid_request(None, "The body is nested too deeply. Send a flatter JSON object.") from exc
    except ValueError as exc:  # msgspec.DecodeError, and UnicodeDecodeError which is not one.
        raise invalid_request(None, f"The body is not valid JSON in UTF-8: {exc}. Send one JSON object.") from exc


def check_free_form(param: str, value: Any, *, max_depth: int = 32) -> None:
    """Check JSON whose shape is the model's template's business for what the runner channel can carry.

    Raises:
        ApiError: 400 when it is nested deeper than `max_depth` or holds an integer beyond 64 bits.
    """
    if max_depth == 0:
        raise invalid_request(param, f"`{param}` is nested too deeply. Send a flatter value.")
    if isinstance(value, dict):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType]
            check_free_form(param, item, max_depth=max_depth - 1)
    elif isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            check_free_form(param, item, max_depth=max_depth - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise invalid_request(param, f"`{param}` holds an integer beyond 64 bits. Send a smaller number or a string.")


def refuse_unsupported(values: dict[str, Any]) -> None:
    """Refuse features that are asked for and not there; `None`, `False` and the like ask for nothing.

    Raises:
        ApiError: 400 naming the feature.
    """
    for name, value in values.items():
        if value:
            raise invalid_request(name, f"`{name}` is not supported by this server. Leave it out.")


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large(limits: HttpLimits) -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        f"The request body is longer than {limits.max_body_bytes} bytes. Send a shorter prompt.",
    )


def _wrong_type(text: str) -> ApiError:
    """Make an OpenAI `param` of a path such as ``at `$.messages[0].role` `` in msgspec's message."""
    match = _AT_PATH.match(text)
    rule, path = (match["rule"], match["path"].removeprefix(".")) if match else (text, "")
    path = path.replace("[...]", "")
    missing = _MISSING.search(rule)
    if missing:
        param = f"{path}.{missing['field']}" if path else missing["field"]
        return invalid_request(param, f"`{param}` is missing. Add it to the request.")
    if not path:
        return invalid_request(None, f"The body is not a request: {rule}. Send one JSON object.")
    return invalid_request(path, f"`{path}` has the wrong type: {rule}. Correct it and send the request again.")
