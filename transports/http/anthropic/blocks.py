"""Anthropic's content blocks, and the conversation that they make."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from transports.http.conversation import Conversation
from transports.http.errors import ApiError, invalid_request
from transports.http.request_body import check_free_form
from transports.http.text_parts import ContentPart, text_of
from transports.http.turns import check_role

ROLES = ("user", "assistant", "system")
# Which kinds of block each role may send; what the assistant thought in secret is for Anthropic's own models.
_KINDS = {
    "user": ("text", "tool_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    "system": ("text",),
}


class Block(msgspec.Struct, frozen=True):
    """One block, whatever its kind: the kind says which members count, and they are checked by hand."""

    type: str
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None


class Turn(msgspec.Struct, frozen=True):
    """One message. `role` is checked by hand, for an error that lists the roles."""

    role: str
    content: str | list[Block]


def template_messages(turns: Sequence[Turn], system: str | Sequence[ContentPart] | None) -> tuple[dict[str, Any], ...]:
    """Return the messages for a chat template.

    Raises:
        ApiError: 400 with the path of the block at fault.
    """
    if not turns:
        raise invalid_request("messages", "`messages` is empty. Send at least one message.")
    conversation = Conversation()
    if system:
        conversation.say("system", text_of("system", system))
    for index, turn in enumerate(turns):
        _add_turn(conversation, f"messages[{index}]", turn)
    return conversation.messages


def _add_turn(conversation: Conversation, param: str, turn: Turn) -> None:
    check_role(param, turn.role, ROLES)
    if isinstance(turn.content, str):
        conversation.say(turn.role, turn.content)
        return
    texts: list[str] = []
    for index, block in enumerate(turn.content):
        where = f"{param}.content[{index}]"
        if block.type not in _KINDS[turn.role]:
            raise _unknown_kind(where, turn.role, block)
        if block.type == "text":
            texts.append(_member(where, "text", block.text))
            continue
        if turn.role == "user" and texts:
            conversation.say(turn.role, "".join(texts))
            texts.clear()
        _ADDERS[block.type](conversation, where, block)
    if texts or not turn.content:
        conversation.say(turn.role, "".join(texts))


def _unknown_kind(where: str, role: str, block: Block) -> ApiError:
    kinds = " and ".join(f"`{kind}`" for kind in _KINDS[role])
    return invalid_request(
        f"{where}.type",
        f"`{where}.type` is {block.type!r}; from the role {role!r} this server reads {kinds} blocks only. Send text.",
    )


def _add_thinking(conversation: Conversation, where: str, block: Block) -> None:
    conversation.think(_member(where, "thinking", block.thinking))


def _add_nothing(conversation: Conversation, where: str, block: Block) -> None:
    del conversation, where, block


def _add_call(conversation: Conversation, where: str, block: Block) -> None:
    arguments: dict[str, Any] | Any = {} if block.input is None else block.input
    if not isinstance(arguments, dict):
        raise invalid_request(f"{where}.input", f"`{where}.input` is not an object. Send the tool's arguments.")
    check_free_form(f"{where}.input", arguments)
    conversation.call(_member(where, "id", block.id), _member(where, "name", block.name), arguments)  # pyright: ignore[reportUnknownArgumentType]


def _add_result(conversation: Conversation, where: str, block: Block) -> None:
    call_id = _member(where, "tool_use_id", block.tool_use_id)
    text = text_of(f"{where}.content", _parts(f"{where}.content", block.content))
    conversation.result(call_id, f"Error: {text}" if block.is_error else text)


_ADDERS: dict[str, Callable[[Conversation, str, Block], None]] = {
    "thinking": _add_thinking,
    "redacted_thinking": _add_nothing,
    "tool_use": _add_call,
    "tool_result": _add_result,
}


def _parts(param: str, content: Any) -> str | list[ContentPart]:
    try:
        return msgspec.convert("" if content is None else content, str | list[ContentPart])
    except msgspec.ValidationError as exc:
        raise invalid_request(param, f"`{param}` is neither text nor a list of `text` blocks. Send text.") from exc


def _member(where: str, name: str, value: str | None) -> str:
    if value is None:
        raise invalid_request(f"{where}.{name}", f"`{where}.{name}` is missing. Add it to the block.")
    return value
