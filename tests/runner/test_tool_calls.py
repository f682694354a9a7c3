"""Calls as each of mlx-lm's formats writes them, read by mlx-lm's parsers, and what parsers must not do to a task."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.answer_formats import scanner_for
from runner.answer_scanner import Kind
from runner.tool_calls import tool_parser
from transports.messages import ChatPrompt, TextPrompt

pytestmark = pytest.mark.mlx
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS: tuple[dict[str, Any], ...] = (
    {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "bare"}},
)
WRITTEN = {
    "json_tools": '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern", "days": 2}}\n</tool_call>',
    "mistral": '[TOOL_CALLS]weather[ARGS]{"city": "Bern", "days": 2}',
    "qwen3_coder": "<tool_call>\n<function=weather>\n<parameter=city>\nBern\n</parameter>\n<parameter=days>\n2\n"
    "</parameter>\n</function>\n</tool_call>",
    "glm47": "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>2</arg_value>\n</tool_call>",
    "longcat": "<longcat_tool_call>weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>Bern"
    "</longcat_arg_value>\n<longcat_arg_key>days</longcat_arg_key>\n<longcat_arg_value>2</longcat_arg_value>\n"
    "</longcat_tool_call>",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
    '{"city": "Bern", "days": 2}<|tool_call_end|><|tool_calls_section_end|>',
    "kimi_k3": '<|open|>tools<|sep|><|open|>call tool="weather" index="1"<|sep|><|open|>json type="object"<|sep|>'
    '{"city": "Bern", "days": 2}<|close|>json<|sep|><|close|>call<|sep|><|close|>tools<|sep|>',
    "pythonic": '<|tool_call_start|>[weather(city="Bern", days=2)]<|tool_call_end|>',
    "gemma4": '<|tool_call>call:weather{city:<|"|>Bern<|"|>,days:2}<tool_call|>',
    "function_gemma": "<start_function_call>call:weather{city:<escape>Bern<escape>,days:2}<end_function_call>",
    "minimax_m2": '<minimax:tool_call><invoke name="weather"><parameter name="city">Bern</parameter>'
    '<parameter name="days">2</parameter></invoke></minimax:tool_call>',
    "minicpm5": '<function name="weather"><param name="city">Bern</param><param name="days">2</param></function>',
    "muse_spark": '<atem:function_calls><atem:invoke name="weather"><atem:parameter name="city">Bern</atem:parameter>'
    '<atem:parameter name="days">2</atem:parameter></atem:invoke></atem:function_calls>',
}


def tokenizer_of(parser: str, **changes: Any) -> Any:
    """What mlx-lm says of a tokenizer with this parser."""
    module = importlib.import_module(f"mlx_lm.tool_parsers.{parser}")
    facts: dict[str, Any] = {
        "think_start": "<think>",
        "think_end": "</think>",
        "tool_call_start": module.tool_call_start,
        "tool_call_end": module.tool_call_end,
        "tool_parser": module.parse_tool_call,
        "structural_markers": (),
        "response_initial_state": None,
        "response_transitions": {},
        "decode": lambda tokens: "".join(map(chr, tokens)),
        **changes,
    }
    return SimpleNamespace(**facts)


def read(tokenizer: Any, written: str, prompt: Any = ChatPrompt((), TOOLS), end: str = "") -> list[tuple[Kind, Any]]:  # noqa: B008 - frozen
    """What is shown of an answer that arrives letter by letter after a prompt with this end."""
    scanner = scanner_for(tokenizer, prompt, [*map(ord, end)])
    segments = [segment for letter in written for segment in scanner.push(letter)]
    shown: list[tuple[Kind, Any]] = []
    for segment in [*segments, *scanner.flush(is_whole=True)]:
        if segment.kind is Kind.CALL:
            shown += [(Kind.CALL, (call.name, json.loads(call.arguments), call.call_id)) for call in segment.calls]
        elif shown and shown[-1][0] is segment.kind:
            shown[-1] = (segment.kind, shown[-1][1] + segment.text)
        elif segment.kind is not Kind.HIDDEN:
            shown.append((segment.kind, segment.text))
    return shown


@pytest.mark.parametrize("parser", sorted(WRITTEN))
def test_each_format_gives_the_same_call(parser: str) -> None:
    written = f"<think>\nhm</think>\n\nI look. {WRITTEN[parser]}"
    call_id = "functions.weather:0" if parser == "kimi_k2" else None
    assert read(tokenizer_of(parser), written) == [
        (Kind.REASONING, "hm"),
        (Kind.TEXT, "I look. "),
        (Kind.CALL, ("weather", {"city": "Bern", "days": 2}, call_id)),
    ]


def test_all_of_mlx_lms_formats_are_here() -> None:
    package = importlib.import_module("mlx_lm.tool_parsers")
    (folder,) = package.__path__
    names = {path.stem for path in Path(folder).glob("[a-z]*.py")}
    # laguna is glm47 under another name.
    assert names - {"laguna"} == set(WRITTEN)


def test_only_chats_are_taken_apart_and_calls_only_where_tools_were_offered() -> None:
    tokenizer, written = tokenizer_of("json_tools"), f"<think>hm</think>{WRITTEN['json_tools']}"
    assert read(tokenizer, written, TextPrompt("a")) == [(Kind.TEXT, written)]
    assert read(tokenizer, written, ChatPrompt(())) == [(Kind.REASONING, "hm"), (Kind.TEXT, WRITTEN["json_tools"])]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("<assistant><think>\n", Kind.REASONING),
        ("<assistant><think>\n\n</think>\n\n", Kind.TEXT),
        ("Say <think> please.<assistant>", Kind.TEXT),
    ],
)
def test_a_template_may_open_the_reasoning_and_a_user_may_not(end: str, kind: Kind) -> None:
    assert read(tokenizer_of("json_tools"), "hm", end=end) == [(kind, "hm")]


def test_a_format_with_states_of_its_own() -> None:
    from mlx_lm.chat_templates.muse_spark import RESPONSE_FORMAT

    tokenizer = tokenizer_of(
        "muse_spark",
        think_start=None,
        think_end=None,
        response_initial_state=RESPONSE_FORMAT["initial_state"],
        response_transitions=RESPONSE_FORMAT["transitions"],
    )
    written = f"to=self<|message|>hm<|eom|>to=user<|message|>I look.<|eom|>{WRITTEN['muse_spark']}"
    assert read(tokenizer, written) == [
        (Kind.REASONING, "hm"),
        (Kind.TEXT, "I look."),
        (Kind.CALL, ("weather", {"city": "Bern", "days": 2}, None)),
    ]


def test_structural_markers_are_not_shown() -> None:
    marks = ("<|open|>response<|sep|>", "<|close|>response<|sep|>")
    written = f"{marks[0]}yes{marks[1]}"
    assert read(tokenizer_of("kimi_k3", structural_markers=marks), written) == [(Kind.TEXT, "yes")]


def test_several_calls_in_one_section() -> None:
    written = '[TOOL_CALLS][{"name": "weather", "arguments": {}}, {"name": "bare", "arguments": {}, "id": "abc"}]'
    assert read(tokenizer_of("mistral"), written) == [
        (Kind.CALL, ("weather", {}, None)),
        (Kind.CALL, ("bare", {}, "abc")),
    ]


def test_a_tool_that_was_offered_without_parameters_can_be_called() -> None:
    written = (
        "<longcat_tool_call>bare\n<longcat_arg_key>a</longcat_arg_key><longcat_arg_value>1</longcat_arg_value>"
        "</longcat_tool_call>"
    )
    assert read(tokenizer_of("longcat"), written) == [(Kind.CALL, ("bare", {"a": 1}, None))]


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        "weather",
        {"name": "weather", "arguments": [1]},
        {"name": "weather", "arguments": "no JSON"},
        {"name": "weather", "arguments": {"a": {1, 2}}},
        {"name": "weather", "arguments": {"a": float("nan")}},
        {"name": "  ", "arguments": {}},
        {"name": 7, "arguments": {}},
        {"name": "unknown", "arguments": {"raw": "?"}},
        {"name": "weather", "arguments": {"city": "half of an emoji: \ud83d"}},
        {"name": "weather", "arguments": '{"city": "half of an emoji: \\ud83d"}'},
        {"name": "weather\ud83d", "arguments": {}},
        {"name": "weather", "arguments": {}, "id": "\ud83d"},
        [{"name": "weather", "arguments": {}}, None],
        ValueError("no call"),
        RecursionError("too deep"),
    ],
)
def test_what_a_parser_gives_is_not_trusted(parsed: object, caplog: pytest.LogCaptureFixture) -> None:
    def parse(text: str, tools: object) -> object:
        del text, tools
        if isinstance(parsed, Exception):
            raise parsed
        return parsed

    assert tool_parser(parse, TOOLS)("what the model wrote") == ()
    assert "what the model wrote" in caplog.text


def test_arguments_that_were_written_as_text_are_an_object() -> None:
    def parse(text: str, tools: object) -> object:
        del tools
        return {"name": " weather ", "arguments": text}

    (call,) = tool_parser(parse, TOOLS)('{"city": "Zürich"}')
    assert (call.name, call.arguments, call.call_id) == ("weather", '{"city": "Zürich"}', None)


def test_a_name_that_is_none_costs_nothing() -> None:
    """Ollama's clients may send any JSON as a tool; templates decide what they make of it."""
    tools: tuple[dict[str, Any], ...] = ({"type": "function", "function": {"name": ["weather"]}},)
    (call,) = tool_parser(lambda text, _: json.loads(text), tools)('{"name": "weather", "arguments": {}}')
    assert (call.name, call.arguments) == ("weather", "{}")
