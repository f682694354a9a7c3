"""Conversations with tool calls, in the shape that models' chat templates read, whatever pieces an API sends."""

from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.http.request_body import check_free_form

_ABOVE_ALL = ("system", "developer")


class Conversation:
    """Puts messages together, piece by piece, in the one shape that nearly all templates take.

    That is: at most one system message, and that first; then no role twice in a row, but for tools. What a role says
    in a row is joined with a blank line between, and so is what an assistant thinks, says and calls. A later system
    message, as coding agents send them, keeps its place in a user's message, in tags. A tool's result is told with the
    name of the tool, as the call with its id had it.
    """

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}

    @property
    def messages(self) -> tuple[dict[str, Any], ...]:
        """All messages so far."""
        return tuple(self._messages)

    def say(self, role: str, text: str) -> None:
        """Add what a role says."""
        if role in _ABOVE_ALL:
            is_first = len(self._messages) == (1 if self._last_of("system") else 0)
            role, text = ("system", text) if is_first else ("user", f"<system>\n{text}\n</system>")
        message = self._last_of(role)
        if message is None:
            self._messages.append({"role": role, "content": text})
        else:
            message["content"] = "\n\n".join(part for part in (message["content"], text) if part)

    def think(self, text: str) -> None:
        """Add what the assistant thinks before it says or calls something."""
        message = self._last_of("assistant") or self._append_assistant()
        message["reasoning_content"] = message.get("reasoning_content", "") + text

    def call(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Add a call of a tool by the assistant."""
        message = self._last_of("assistant") or self._append_assistant()
        function = {"name": name, "arguments": arguments}
        message.setdefault("tool_calls", []).append({"id": call_id, "type": "function", "function": function})
        self._names[call_id] = name

    def result(self, call_id: str, text: str, *, name: str | None = None) -> None:
        """Add what a call gave. The name is known by its id, unless the call is not here, as in a shortened history."""
        message = {"role": "tool", "tool_call_id": call_id, "content": text}
        if (known := self._names.get(call_id, name)) is not None:
            message["name"] = known
        self._messages.append(message)

    def _last_of(self, role: str) -> dict[str, Any] | None:
        """The last message, when it is this role's."""
        return self._messages[-1] if self._messages and self._messages[-1]["role"] == role else None

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
