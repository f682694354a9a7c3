"""The tools of a chat request, in the shape that models' chat templates read."""

from collections.abc import Sequence
from typing import Any, cast

from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form


def chat_tools(tools: Sequence[dict[str, Any]] | None, tool_choice: str | dict[str, Any] | None) -> tuple[Any, ...]:
    """Return the tools that a model is offered: none where the choice is `none`.

    Raises:
        ApiError: 400 when something else than a function is offered, or a call is demanded.
    """
    if tool_choice not in (None, "auto", "none"):
        raise invalid_request(
            "tool_choice", "`tool_choice` must be `auto` or `none`: a tool call cannot be forced. Leave it out."
        )
    for index, tool in enumerate(tools or ()):
        _check_tool(f"tools[{index}]", tool)
    return () if tool_choice == "none" else tuple(tools or ())


def _check_tool(param: str, tool: dict[str, Any]) -> None:
    if tool.get("type") != "function":
        raise invalid_request(
            f"{param}.type",
            f"`{param}.type` is {tool.get('type')!r}; only `function` is supported. Leave the tool out.",
        )
    function: Any = tool.get("function")
    if not isinstance(function, dict):
        raise invalid_request(f"{param}.function", f"`{param}.function` is missing. Describe the function.")
    described = cast(dict[str, Any], function)
    name = described.get("name")
    if not isinstance(name, str) or not name:
        raise invalid_request(f"{param}.function.name", f"`{param}.function.name` is missing. Name the function.")
    # The model's parser looks the types of arguments up here.
    if not isinstance(described.get("parameters"), dict | None):
        raise invalid_request(
            f"{param}.function.parameters", f"`{param}.function.parameters` is no object. Send a JSON schema."
        )
    check_free_form(param, tool)
