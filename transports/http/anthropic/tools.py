"""Anthropic's tools, as chat templates read them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form

_OWN = (None, "custom")


class Tool(msgspec.Struct, frozen=True):
    """One tool; only those that the client describes and runs itself are served."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """`tool_choice`; no model can be made to call a tool here."""

    type: str
    disable_parallel_tool_use: bool | None = None


def template_tools(tools: Sequence[Tool] | None, choice: ToolChoice | None) -> tuple[dict[str, Any], ...]:
    """Return the tools for a chat template; none when the choice is `none`.

    Raises:
        ApiError: 400 naming what is not supported.
    """
    if choice is not None and choice.type not in ("auto", "none"):
        raise invalid_request(
            "tool_choice",
            f"`tool_choice.type` is {choice.type!r}; only `auto` and `none` are supported: a tool call cannot be "
            "forced. Leave it out.",
        )
    converted = tuple(_template_tool(f"tools[{index}]", tool) for index, tool in enumerate(tools or ()))
    return () if choice is not None and choice.type == "none" else converted


def _template_tool(param: str, tool: Tool) -> dict[str, Any]:
    if tool.type not in _OWN:
        raise invalid_request(
            f"{param}.type",
            f"`{param}` (`{tool.name or tool.type}`) is a tool of Anthropic's own, of type {tool.type!r}; only tools "
            "with an `input_schema`, which the client runs, are supported. Leave it out.",
        )
    if not tool.name or tool.input_schema is None:
        missing = "input_schema" if tool.name else "name"
        raise invalid_request(f"{param}.{missing}", f"`{param}.{missing}` is missing. Add it to the tool.")
    check_free_form(f"{param}.input_schema", tool.input_schema)
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": function}
