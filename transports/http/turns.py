"""What holds for the messages of a conversation in every API."""

from collections.abc import Sequence
from typing import Any

from transports.http.errors import invalid_request


def check_role(param: str, role: str, roles: Sequence[str]) -> None:
    """Refuse a role that the API does not have.

    Raises:
        ApiError: 400 that lists the roles.
    """
    if role not in roles:
        raise invalid_request(f"{param}.role", f"`{param}.role` is {role!r}; use one of {', '.join(roles)}.")


def checked_conversation(param: str, messages: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return a conversation that an answer can follow: there is one, and it is not the assistant's turn already.

    For APIs in which a last assistant message means "go on with this", which the engine cannot do.

    Raises:
        ApiError: 400.
    """
    if not messages:
        raise invalid_request(param, f"`{param}` is empty. Send at least one message.")
    if messages[-1]["role"] == "assistant":
        raise invalid_request(
            param, f"`{param}` ends with an assistant message; an answer cannot be prefilled. End with a user's."
        )
    return tuple(messages)
