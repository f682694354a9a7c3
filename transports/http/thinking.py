"""How a request says whether, and how hard, a model is to think: chat templates read it from their arguments."""

from typing import Any

# Templates know three words; APIs have more. What no API says is left out.
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def thinking_arguments(thinks: bool | None, effort: str | None = None) -> dict[str, Any]:
    """Return the template's arguments; None leaves it to the template. A template ignores what it does not know."""
    arguments: dict[str, Any] = {} if thinks is None else {"enable_thinking": thinks}
    if effort in _EFFORTS:
        arguments["reasoning_effort"] = _EFFORTS[effort]
    return arguments
