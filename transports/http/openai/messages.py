"""Chat messages: checked, and brought into the shape that models' chat templates read."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form
from transports.http.text_parts import ContentPart, text_of
from transports.http.turns import check_role

ROLES = ("system", "developer", "user", "assistant", "tool")
_ROLES_WITHOUT_CONTENT = ("assistant", "tool")


class Message(msgspec.Struct, frozen=True):
    """One chat message. `role` is checked by hand, for an error that lists the roles."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


def template_messages(messages: Sequence[Message]) -> tuple[dict[str, Any], ...]:
    """Return the messages for a chat template: content as one string, tool call arguments as objects.

    Raises:
        ApiError: 400 with the path of the field at fault.
    """
    if not messages:
        raise invalid_request("messages", "`messages` is empty. Send at least one message.")
    return _with_names([_template_message(f"messages[{index}]", message) for index, message in enumerate(messages)])


def _template_message(param: str, message: Message) -> dict[str, Any]:
    check_role(param, message.role, ROLES)
    result: dict[str, Any] = {"role": message.role, "content": _content(f"{param}.content", message)}
    if message.name is not None:
        result["name"] = message.name
    if message.tool_call_id is not None:
        result["tool_call_id"] = message.tool_call_id
    # Under DeepSeek's name, which is what chat templates read.
    if (reasoning := message.reasoning_content or message.reasoning) and message.role == "assistant":
        result["reasoning_content"] = reasoning
    if message.tool_calls:
        result["tool_calls"] = [
            _template_tool_call(f"{param}.tool_calls[{index}]", call) for index, call in enumerate(message.tool_calls)
        ]
    return result


def _with_names(messages: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Name the tool of each result, as the call with its id had it: clients leave it out, some templates need it."""
    names: dict[str, str] = {}
    for message in messages:
        for call in message.get("tool_calls", ()):
            call_id, function = call.get("id"), call.get("function")
            name = function.get("name") if isinstance(function, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if isinstance(call_id, str) and isinstance(name, str):
                names[call_id] = name
        if message["role"] == "tool" and (name := names.get(message.get("tool_call_id", ""))) is not None:
            message.setdefault("name", name)
    return tuple(messages)


def _content(param: str, message: Message) -> str:
    content = message.content
    if content is None:
        if message.role in _ROLES_WITHOUT_CONTENT:
            return ""
        raise invalid_request(param, f"`{param}` is missing. A {message.role} message needs text.")
    return text_of(param, content)


def _template_tool_call(param: str, call: dict[str, Any]) -> dict[str, Any]:
    """Templates iterate over arguments, which OpenAI clients send as a string of JSON."""
    check_free_form(param, call)
    function: dict[str, Any] | Any = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):  # pyright: ignore[reportUnknownMemberType]
        return call
    arguments = f"{param}.function.arguments"
    try:
        decoded: Any = msgspec.json.decode(function["arguments"] or "{}")  # pyright: ignore[reportUnknownArgumentType]
    except (ValueError, RecursionError) as exc:
        raise invalid_request(arguments, f"`{arguments}` is not valid JSON. Send the arguments as JSON text.") from exc
    check_free_form(arguments, decoded)
    return {**call, "function": {**function, "arguments": decoded}}
