"""Reads the calls of tools that a model wrote, through mlx-lm's parser for its format, and trusts neither of them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from runner.answer_scanner import ToolCall, ToolParser

_LOG = logging.getLogger(__name__)
_MAX_LOGGED_CHARACTERS = 500
# What the parser of GLM's format calls a tool whose name it cannot find.
_NO_NAME = "unknown"

RawParser = Callable[[str, Sequence[Mapping[str, Any]]], object]
"""mlx-lm's: text and the request's tools in; a call, or a list of calls, out. Raises what it likes."""


def tool_parser(parse: RawParser, tools: Sequence[Mapping[str, Any]]) -> ToolParser:
    """Return the parser of one task. It never raises: what cannot be read is logged, and no calls are its result."""
    described = [_with_parameters(tool) for tool in tools]
    names = [tool["function"].get("name") for tool in described]

    def calls_in(text: str) -> Sequence[ToolCall]:
        try:
            parsed = parse(text, described)
            calls = [_call(one) for one in (cast(list[object], parsed) if isinstance(parsed, list) else [parsed])]
            if any(call.name == _NO_NAME and call.name not in names for call in calls):
                raise ValueError("it names no tool")  # noqa: TRY301 - as of any other call without a name
        except Exception as exc:  # noqa: BLE001 - a parser meets whatever a model writes
            _LOG.warning(
                "a call of a tool cannot be read, so it is given as text: %s: %s in %r",
                type(exc).__name__,
                exc,
                text[:_MAX_LOGGED_CHARACTERS],
            )
            return ()
        return calls

    return calls_in


def _with_parameters(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tool with parameters, which a client may leave out; parsers look the types of arguments up there."""
    function = tool.get("function")
    described = cast(dict[str, Any], function) if isinstance(function, dict) else {}
    return {**tool, "function": {**described, "parameters": described.get("parameters") or {}}}


def _call(parsed: object) -> ToolCall:
    """The checked call.

    Raises:
        ValueError: It has no name, its arguments are no object or cannot be written as JSON, or it is no Unicode: half
            of a character, which JSON can spell, cannot be sent to anybody.
    """
    fields = cast(dict[str, object], parsed) if isinstance(parsed, dict) else {}
    name, arguments, call_id = fields.get("name"), fields.get("arguments", {}), fields.get("id")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("it names no tool")
    if isinstance(arguments, str):
        # Some models write the object as a string of JSON.
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no object")  # noqa: TRY004 - one reason of several why it cannot be read
    written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    call = ToolCall(name.strip(), written, call_id if isinstance(call_id, str) and call_id else None)
    for text in (call.name, call.arguments, call.call_id or ""):
        text.encode()
    return call
