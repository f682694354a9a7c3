"""Ollama's chat messages, and the conversation that they make."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.conversation import Conversation
from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form, refuse_unsupported
from transports.http.turns import check_role

ROLES = ("system", "user", "assistant", "tool")


class CalledFunction(msgspec.Struct, frozen=True):
    """`function` of a tool call."""

    name: str
    arguments: dict[str, Any] = {}


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a tool; most clients leave its id out."""

    function: CalledFunction
    id: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One message. `role` is checked by hand, for an error that lists the roles."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


def template_messages(messages: Sequence[Message]) -> tuple[dict[str, Any], ...]:
    """Return the messages for a chat template.

    Raises:
        ApiError: 400 with the path of the field at fault.
    """
    reading = _Reading()
    for index, message in enumerate(messages):
        param = f"messages[{index}]"
        check_role(param, message.role, ROLES)
        refuse_unsupported({f"{param}.images": message.images})
        reading.add(param, message)
    return reading.conversation.messages


class _Reading:
    """Gives ids to calls that have none, and their results the same."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self._unanswered: list[tuple[str, str]] = []
        self._calls = 0

    def add(self, param: str, message: Message) -> None:
        content = message.content or ""
        if message.role == "tool":
            call_id, name = self._answered(message)
            self.conversation.result(call_id, content, name=name)
            return
        if message.tool_calls and message.role != "assistant":
            raise invalid_request(f"{param}.tool_calls", f"`{param}.tool_calls` is only an assistant's. Leave it out.")
        self.conversation.say(message.role, content)
        if message.role == "assistant" and message.thinking:
            self.conversation.think(message.thinking)
        for index, call in enumerate(message.tool_calls or ()):
            check_free_form(f"{param}.tool_calls[{index}]", call.function.arguments)
            self._call(call)

    def _call(self, call: ToolCall) -> None:
        call_id = call.id or f"call_{self._calls}"
        self._calls += 1
        self._unanswered.append((call_id, call.function.name))
        self.conversation.call(call_id, call.function.name, call.function.arguments)

    def _answered(self, message: Message) -> tuple[str, str | None]:
        """The id and the name of the oldest call without a result that a result can be for."""
        for call in self._unanswered:
            if message.tool_call_id in (None, call[0]) and message.tool_name in (None, call[1]):
                self._unanswered.remove(call)
                return call
        return message.tool_call_id or "", message.tool_name
