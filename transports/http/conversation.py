"""Conversations with tool calls, in the shape that models' chat templates read, whatever pieces an API sends."""

from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form


class Conversation:
    """Puts messages together, piece by piece.

    What an assistant thinks, says and calls in a row becomes one message, since templates know no smaller pieces. A
    tool's result is told with the name of the tool, as the call with its id had it.
    """

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}

    @property
    def messages(self) -> tuple[dict[str, Any], ...]:
        """All messages so far."""
        return tuple(self._messages)

    def say(self, role: str, text: str) -> None:
        """Add what a role says; an assistant's text joins what it thinks before and calls beside it."""
        open_message = self._open_assistant() if role == "assistant" else None
        if open_message is not None and (not open_message["content"] or "tool_calls" in open_message):
            open_message["content"] += text
        else:
            self._messages.append({"role": role, "content": text})

    def think(self, text: str) -> None:
        """Add what the assistant thinks before it says or calls something."""
        message = self._open_assistant() or self._append_assistant()
        message["reasoning_content"] = message.get("reasoning_content", "") + text

    def call(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Add a call of a tool by the assistant."""
        message = self._open_assistant() or self._append_assistant()
        function = {"name": name, "arguments": arguments}
        message.setdefault("tool_calls", []).append({"id": call_id, "type": "function", "function": function})
        self._names[call_id] = name

    def result(self, call_id: str, text: str, *, name: str | None = None) -> None:
        """Add what a call gave. The name is known by its id, unless the call is not here, as in a shortened history."""
        message = {"role": "tool", "tool_call_id": call_id, "content": text}
        if (known := self._names.get(call_id, name)) is not None:
            message["name"] = known
        self._messages.append(message)

    def _open_assistant(self) -> dict[str, Any] | None:
        """The last message, when it is the assistant's."""
        return self._messages[-1] if self._messages and self._messages[-1]["role"] == "assistant" else None

    def _append_assistant(self) -> dict[str, Any]:
        self._messages.append({"role": "assistant", "content": ""})
        return self._messages[-1]


def arguments_of(param: str, arguments: str) -> dict[str, Any]:
    """Return a call's arguments, which some APIs send as JSON text; empty text is no arguments.

    Raises:
        ApiError: 400 when they are not one JSON object that the runner channel can carry.
    """
    try:
        decoded = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (ValueError, RecursionError) as exc:
        raise invalid_request(param, f"`{param}` is not one JSON object. Send the arguments as JSON text.") from exc
    check_free_form(param, decoded)
    return decoded
