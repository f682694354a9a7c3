"""What `/v1/responses` and `/v1/responses/input_tokens` share: the fields that make a prompt."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.errors import invalid_request
from transports.http.openai.namespaces import is_name, joined_name
from transports.http.openai.response_input import InputItem, template_messages
from transports.http.request_body import check_free_form, refuse_unsupported
from transports.http.thinking import thinking_arguments
from transports.messages import ChatPrompt


class Tool(msgspec.Struct, frozen=True):
    """One tool; only functions, which the client runs itself, and namespaces of them are served."""

    type: str
    tools: "list[Tool] | None" = None
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """`reasoning`. Summaries are not made: what the model thinks is told as it is."""

    effort: str | None = None


class TextFormat(msgspec.Struct, frozen=True):
    """`text.format`; only `text` is served."""

    type: str


class TextSettings(msgspec.Struct, frozen=True):
    """`text`."""

    format: TextFormat | None = None
    verbosity: str | None = None


class PromptFields(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. Unknown ones are ignored."""

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    tools: list[Tool] | None = None
    tool_choice: Any = None
    reasoning: Reasoning | None = None
    text: TextSettings | None = None
    truncation: str | None = None
    conversation: Any = None
    previous_response_id: str | None = None


def chat_prompt_of(fields: PromptFields) -> ChatPrompt:
    """Return the checked prompt.

    Raises:
        ApiError: 400 naming the field at fault.
    """
    rules.check_model(fields.model)
    refuse_unsupported({name: getattr(fields, name) for name in ("conversation", "previous_response_id")})
    _check_text(fields.text or TextSettings())
    if fields.truncation not in (None, "disabled"):
        raise invalid_request(
            "truncation", f"`truncation` is {fields.truncation!r}; only `disabled` is supported. Leave it out."
        )
    return ChatPrompt(
        messages=template_messages(fields.instructions, fields.input),
        tools=_template_tools(fields),
        template_arguments=_thinking_of(fields.reasoning or Reasoning()),
    )


def _check_text(text: TextSettings) -> None:
    if text.format is not None and text.format.type != "text":
        raise invalid_request(
            "text.format", f"`text.format.type` is {text.format.type!r}; only `text` is supported. Leave it out."
        )
    if text.verbosity not in (None, "medium"):
        raise invalid_request("text.verbosity", "`text.verbosity` is not supported by this server. Leave it out.")


def _thinking_of(reasoning: Reasoning) -> dict[str, Any]:
    thinks = None if reasoning.effort is None else reasoning.effort != "none"
    return thinking_arguments(thinks, reasoning.effort)


def _template_tools(fields: PromptFields) -> tuple[dict[str, Any], ...]:
    if fields.tool_choice not in (None, "auto", "none"):
        raise invalid_request(
            "tool_choice", "`tool_choice` must be `auto` or `none`: a tool call cannot be forced. Leave it out."
        )
    converted = _functions_of("tools", fields.tools or ())
    return () if fields.tool_choice == "none" else tuple(converted)


def _functions_of(param: str, tools: Sequence[Tool], namespace: str | None = None) -> Iterator[dict[str, Any]]:
    for index, tool in enumerate(tools):
        where = f"{param}[{index}]"
        if tool.type == "namespace" and namespace is None:
            _check_name(where, tool.name)
            yield from _functions_of(f"{where}.tools", tool.tools or (), tool.name)
        else:
            yield _template_tool(where, tool, namespace)


def _check_name(param: str, name: str) -> None:
    if not is_name(name):
        raise invalid_request(f"{param}.name", f"`{param}.name` is {name[:80]!r}. Name the tool, without dots.")


def _template_tool(param: str, tool: Tool, namespace: str | None) -> dict[str, Any]:
    if tool.type != "function":
        named = f" (`{tool.name}`)" if tool.name else ""
        raise invalid_request(
            f"{param}.type",
            f"`{param}`{named} is a tool of type {tool.type!r}; only `function` tools, which the client runs, are "
            "supported. Leave it out or turn it off in the client.",
        )
    _check_name(param, tool.name)
    parameters = tool.parameters or {"type": "object", "properties": {}}
    check_free_form(f"{param}.parameters", parameters)
    function = {
        "name": joined_name(namespace, tool.name),
        "description": tool.description or "",
        "parameters": parameters,
    }
    return {"type": "function", "function": function}
