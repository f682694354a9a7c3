"""Whatever JSON stands in a field, a surface reads it or names the field; nothing else comes out."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from transports.http.anthropic.count_tokens import CountTokensSurface
from transports.http.anthropic.messages import MessagesSurface
from transports.http.errors import ApiError
from transports.http.limits import HttpLimits
from transports.http.ollama.chat import OllamaChatSurface
from transports.http.openai.input_tokens import InputTokensSurface
from transports.http.openai.responses import ResponsesSurface
from transports.messages import ChatPrompt

WORDS = st.sampled_from(
    ["text", "tool_use", "tool_result", "thinking", "function", "namespace", "function_call", "function_call_output",
     "reasoning", "input_text", "user", "assistant", "tool", "auto", "enabled", "x"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["type", "role", "content", "text", "thinking", "id", "name", "input", "tool_use_id", "is_error", "call_id",
     "arguments", "output", "tools", "parameters", "input_schema", "function", "tool_calls", "summary", "namespace"]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), WORDS, st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["messages", "input", "tools", "tool_choice", "thinking", "think", "system", "reasoning", "instructions", "include"]
)
SURFACES: tuple[Any, ...] = (
    MessagesSurface(),
    CountTokensSurface(),
    ResponsesSurface(HttpLimits()),
    InputTokensSurface(),
    OllamaChatSurface(),
)
USABLE: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "hi"}],
    "input": "hi",
}


@given(st.sampled_from(SURFACES), st.dictionaries(FIELDS, VALUES, min_size=1, max_size=2), st.booleans())
def test_it_is_read_or_refused(surface: Any, changes: dict[str, Any], as_item: bool) -> None:
    if as_item:
        changes = {
            name: [value] if name in ("messages", "input", "tools") else value for name, value in changes.items()
        }
    with contextlib.suppress(ApiError):
        read = surface.parse(json.dumps({**USABLE, **changes}).encode())
        if isinstance(read.prompt, ChatPrompt):
            assert all(isinstance(message["content"], str) for message in read.prompt.messages)
