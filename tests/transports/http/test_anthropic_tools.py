"""What the `anthropic` client makes of tools, thinking and stop sequences, and what a model is given of them."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.transports.http import agent_events as agents
from tests.transports.http.scripted_gateway import INCIDENT, MODEL, TASK, ScriptedGateway, accepted, failed, play, token
from tests.transports.http.serving import Serving
from transports.answers import TaskFinished
from transports.http.anthropic.messages import MessagesSurface
from transports.http.errors import ApiError
from transports.messages import ChatPrompt

TOOL: Any = {"name": "weather", "description": "How it is outside.", "input_schema": agents.PARAMETERS}
REQUEST: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 20,
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [TOOL],
}


@pytest.fixture
def client(server: Serving) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=20) as made:
        yield made


def prompt_of(body: dict[str, Any]) -> ChatPrompt:
    prompt = MessagesSurface().parse(json.dumps(body).encode()).prompt
    assert isinstance(prompt, ChatPrompt)
    return prompt


@pytest.mark.parametrize("stream", [True, False])
def test_an_agents_answer(client: anthropic.Anthropic, gateway: ScriptedGateway, stream: bool) -> None:
    gateway.script = agents.an_agents_answer()
    if stream:
        with client.messages.stream(**REQUEST) as answer:
            message = answer.get_final_message()
    else:
        message = client.messages.create(**REQUEST)
    thinking, text, *calls = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "I have to look."
    assert text.type == "text"
    assert text.text == ("\n\nLet me see." if stream else "\n\nLet me see.\n")
    assert [(call.type, call.id, call.name, call.input) for call in calls if call.type == "tool_use"] == [
        ("tool_use", "call_0", "weather", {"city": "Ulm"}),
        ("tool_use", "call_1", "weather", {"city": "Bonn\u2028"}),
    ]
    assert (message.stop_reason, message.stop_sequence, message.usage.output_tokens) == ("tool_use", None, 9)
    (submission,) = gateway.submissions
    assert isinstance(submission.prompt, ChatPrompt)
    assert submission.prompt.tools == (agents.TEMPLATE_TOOL,)


@pytest.mark.parametrize("stream", [True, False])
def test_white_space_around_a_call_is_no_text(
    client: anthropic.Anthropic, gateway: ScriptedGateway, stream: bool
) -> None:
    gateway.script = agents.a_bare_call()
    if stream:
        with client.messages.stream(**REQUEST) as answer:
            message = answer.get_final_message()
    else:
        message = client.messages.create(**REQUEST)
    assert [block.type for block in message.content] == ["tool_use"]


def test_blocks_come_one_after_the_other(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    gateway.script = agents.an_agents_answer()
    told: list[tuple[str, int]] = []
    for event in client.messages.create(stream=True, **REQUEST):
        if event.type in ("content_block_start", "content_block_stop"):
            told.append((event.type.removeprefix("content_block_"), event.index))
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            assert event.content_block.input == {}
    assert told == [(kind, index) for index in range(4) for kind in ("start", "stop")]


@pytest.mark.parametrize(
    "before", [[agents.thought("hm")], [token("Let")], [token("Let"), agents.called(0, "Ulm")], [agents.called(0, "U")]]
)
def test_a_failure_raises_whatever_block_came_last(
    client: anthropic.Anthropic, gateway: ScriptedGateway, before: Any
) -> None:
    gateway.script = play(accepted(), *before, failed(1))
    with pytest.raises(anthropic.APIStatusError) as caught, client.messages.stream(**REQUEST) as stream:
        stream.get_final_message()
    body: Any = caught.value.body
    assert (body["error"]["incident_id"], body["error"]["message"][:6]) == ("inc-7", INCIDENT.message[:6])


@pytest.mark.parametrize(
    ("finished", "reason"),
    [
        (TaskFinished(TASK, "stop", 5, 2, stop_sequence="END"), ("stop_sequence", "END")),
        (TaskFinished(TASK, "stop", 5, 2), ("end_turn", None)),
        (TaskFinished(TASK, "length", 5, 20), ("max_tokens", None)),
        (TaskFinished(TASK, "length", 5, 2), ("model_context_window_exceeded", None)),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_why_an_answer_ended(
    client: anthropic.Anthropic, gateway: ScriptedGateway, finished: TaskFinished, reason: Any, stream: bool
) -> None:
    gateway.script = play(accepted(), token("Hello"), finished)
    if stream:
        with client.messages.stream(**REQUEST) as answer:
            message = answer.get_final_message()
    else:
        message = client.messages.create(**REQUEST)
    assert (message.stop_reason, message.stop_sequence) == reason


def test_a_conversation_with_tools_is_what_templates_read() -> None:
    prompt = prompt_of(
        {
            **REQUEST,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": "Where is it warmer?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "I have to look.", "signature": "c2ln"},
                        {"type": "redacted_thinking", "data": "c2VjcmV0"},
                        {"type": "text", "text": "Let me see."},
                        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Ulm"}},
                        {"type": "tool_use", "id": "call_b", "name": "weather", "input": {"city": "Bonn"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_a",
                            "content": [{"type": "text", "text": "12 "}, {"type": "text", "text": "degrees"}],
                        },
                        {"type": "tool_result", "tool_use_id": "call_b", "content": "no such place", "is_error": True},
                        {"type": "text", "text": "Go on.", "cache_control": {"type": "ephemeral"}},
                    ],
                },
            ],
        }
    )
    assert prompt.messages == agents.TEMPLATE_MESSAGES


def test_a_coding_agents_request_is_not_refused() -> None:
    body = {
        **REQUEST,
        "tools": [{**TOOL, "type": "custom", "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "user_1_account__session_2"},
        "service_tier": "auto",
        "betas": ["interleaved-thinking-2025-05-14"],
        "speed": "standard",
    }
    parsed = MessagesSurface().parse(json.dumps(body).encode())
    assert isinstance(parsed.prompt, ChatPrompt)
    assert parsed.prompt.tools == (agents.TEMPLATE_TOOL,)
    assert parsed.prompt.template_arguments == {"enable_thinking": True}
    assert parsed.sampling.max_tool_calls == 1
    assert prompt_of({**REQUEST, "tool_choice": {"type": "none"}}).tools == ()


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "bash_20250124", "name": "bash"}]}, "tools[1].type"),
        ({"tools": [{"name": "weather"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "deep", "input_schema": {"at": [2**70]}}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "weather"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        (user({"type": "image", "source": {}}), "messages[0].content[0].type"),
        (user({"type": "document", "source": {}}), "messages[0].content[0].type"),
        (user({"type": "tool_use", "id": "a", "name": "b", "input": {}}), "messages[0].content[0].type"),
        (user({"type": "tool_result", "content": "x"}), "messages[0].content[0].tool_use_id"),
        (user({"type": "tool_result", "tool_use_id": "a", "content": 3}), "messages[0].content[0].content"),
        (
            user({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": {}}]}),
            "messages[0].content[0].content[0].type",
        ),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "messages[0].content[0].id"),
        (
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": 1}]}
                ]
            },
            "messages[0].content[0].input",
        ),
    ],
)
def test_what_is_not_supported_is_named(change: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        MessagesSurface().parse(json.dumps({**REQUEST, **change}).encode())
    assert (caught.value.status, caught.value.param) == (400, param)
