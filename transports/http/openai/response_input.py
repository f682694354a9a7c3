"""The items of a Responses request, and the conversation that they make."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.conversation import Conversation, arguments_of
from transports.http.errors import invalid_request
from transports.http.openai.namespaces import joined_name
from transports.http.text_parts import ContentPart, text_of
from transports.http.turns import check_role

ROLES = ("user", "assistant", "system", "developer")
_TEXT_PARTS = ("input_text", "output_text")
_REASONING_PARTS = ("reasoning_text", "summary_text", "text")


class InputItem(msgspec.Struct, frozen=True):
    """One item of `input`, whatever its kind: the kind says which members count, and they are checked by hand."""

    type: str = "message"
    role: str = ""
    content: str | list[ContentPart] | None = None
    summary: list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    output: str | list[ContentPart] | None = None


def template_messages(instructions: str | None, items: str | Sequence[InputItem]) -> tuple[dict[str, Any], ...]:
    """Return the messages for a chat template.

    Raises:
        ApiError: 400 with the path of the item at fault.
    """
    if not items:
        raise invalid_request("input", "`input` is empty. Send text or at least one message.")
    conversation = Conversation()
    if instructions:
        conversation.say("system", instructions)
    if isinstance(items, str):
        conversation.say("user", items)
        return conversation.messages
    for index, item in enumerate(items):
        _add(conversation, f"input[{index}]", item)
    return conversation.messages


def _add(conversation: Conversation, param: str, item: InputItem) -> None:
    match item.type:
        case "message":
            check_role(param, item.role, ROLES)
            conversation.say(item.role, text_of(f"{param}.content", item.content or "", _TEXT_PARTS))
        case "reasoning":
            # What other servers encrypted says nothing to a model here.
            if text := text_of(f"{param}.content", item.content or item.summary or "", _REASONING_PARTS):
                conversation.think(text)
        case "function_call":
            call_id = _member(param, "call_id", item.call_id)
            arguments = arguments_of(f"{param}.arguments", item.arguments or "")
            name = joined_name(item.namespace, _member(param, "name", item.name))
            conversation.call(call_id, name, arguments)
        case "function_call_output":
            call_id = _member(param, "call_id", item.call_id)
            conversation.result(call_id, text_of(f"{param}.output", item.output or "", _TEXT_PARTS))
        case _:
            raise invalid_request(
                f"{param}.type",
                f"`{param}.type` is {item.type!r}; only `message`, `reasoning`, `function_call` and "
                "`function_call_output` items are supported. Leave it out.",
            )


def _member(param: str, name: str, value: str | None) -> str:
    if value is None:
        raise invalid_request(f"{param}.{name}", f"`{param}.{name}` is missing. Add it to the item.")
    return value
