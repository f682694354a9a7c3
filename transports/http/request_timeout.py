"""How long a client allows its request to take. Pure."""

import re

from starlette.types import Scope

from transports.http.errors import invalid_request

HEADER = "x-request-timeout-s"
MAX_REQUEST_TIMEOUT_S = 86_400.0

_NUMBER = re.compile(rb"\d{1,5}(\.\d{1,9})?")


def request_timeout_of(scope: Scope) -> float | None:
    """Return the seconds of the request's `x-request-timeout-s`, None when there is no such header.

    Raises:
        ApiError: 400; it is there and is no number of seconds above 0, up to a day.
    """
    values = [value for name, value in scope["headers"] if name == HEADER.encode()]
    if not values:
        return None
    timeout_s = float(values[0]) if len(values) == 1 and _NUMBER.fullmatch(values[0]) else 0.0
    if not 0.0 < timeout_s <= MAX_REQUEST_TIMEOUT_S:
        told = ", ".join(value[:50].decode("latin-1") for value in values[:2])
        raise invalid_request(
            HEADER,
            f"The header {HEADER} is {told!r}; it has to be one number of seconds above 0 and up to "
            f"{MAX_REQUEST_TIMEOUT_S:g}, such as 30 or 2.5. Correct it or leave it out.",
        )
    return timeout_s
