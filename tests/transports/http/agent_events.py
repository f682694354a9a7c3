"""Events of models that think and call tools, and a conversation with both as each API is to hand it to a template."""

from typing import Any

from tests.transports.http.scripted_gateway import TASK, Script, accepted, play, token
from transports.answers import TaskFinished, TokenChunk, ToolCallChunk

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEMPLATE_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "How it is outside.", "parameters": PARAMETERS},
}


def template_call(call_id: str, city: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": {"city": city}}}


def template_result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "name": "weather", "content": text}


TEMPLATE_MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is it warmer?"},
    {
        "role": "assistant",
        "reasoning_content": "I have to look.",
        "content": "Let me see.",
        "tool_calls": [template_call("call_a", "Ulm"), template_call("call_b", "Bonn")],
    },
    template_result("call_a", "12 degrees"),
    template_result("call_b", "Error: no such place"),
    {"role": "user", "content": "Go on."},
)


def thought(text: str) -> TokenChunk:
    return TokenChunk(TASK, 0, 42, "", reasoning=text)


def called(index: int, city: str) -> ToolCallChunk:
    return ToolCallChunk(TASK, index, f"call_{index}", "weather", f'{{"city": "{city}"}}')


def calls_finished() -> TaskFinished:
    return TaskFinished(TASK, "tool_calls", 5, 9, reasoning_tokens=3)


def an_agents_answer() -> Script:
    """Thinking, a word, two calls; white space between, as models write it."""
    return play(
        accepted(), thought("I have "), thought("to look."), token("\n\n"), token("Let me"), token(" see."),
        called(0, "Ulm"), token("\n"), called(1, "Bonn\u2028"), calls_finished(),
    )  # fmt: skip


def a_bare_call() -> Script:
    """A call and white space around it, which is nobody's text."""
    return play(accepted(), token("\n"), called(0, "Ulm"), token("\n"), calls_finished())
