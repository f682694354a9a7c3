"""The id that names one request in its response, in the journal and in the log."""

import re
import secrets

from starlette.types import Scope

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def new_request_id() -> str:
    """Return an id that nobody else has."""
    return f"req-{secrets.token_hex(12)}"


def choose_request_id(scope: Scope) -> str:
    """Return the client's `x-request-id` when it is short and plain, else a new one; keeps it in the scope."""
    chosen = new_request_id()
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            chosen = value.decode("ascii")
    scope.setdefault("state", {})["request_id"] = chosen
    return chosen


def request_id_of(scope: Scope) -> str:
    """Return what `choose_request_id` chose."""
    return scope["state"]["request_id"]
