"""Ollama's API with tools and thinking, line by line."""

import json
from typing import Any

import httpx2
import pytest

from tests.transports.http import agent_events as agents
from tests.transports.http.scripted_gateway import MODEL, ScriptedGateway, accepted, failed, finished, play, token
from tests.transports.http.serving import Serving
from transports.http.errors import ApiError
from transports.http.ollama.chat import OllamaChatSurface
from transports.http.ollama.generate import OllamaGenerateSurface
from transports.messages import ChatPrompt

REQUEST: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [agents.TEMPLATE_TOOL],
}


def prompt_of(surface: Any, body: dict[str, Any]) -> ChatPrompt:
    prompt = surface.parse(json.dumps(body).encode()).prompt
    assert isinstance(prompt, ChatPrompt)
    return prompt


@pytest.mark.parametrize("stream", [True, False])
def test_an_agents_answer(server: Serving, gateway: ScriptedGateway, stream: bool) -> None:
    gateway.script = agents.an_agents_answer()
    response = httpx2.post(f"{server.url}/api/chat", json={**REQUEST, "stream": stream})
    lines = [json.loads(line) for line in response.iter_lines()]
    messages = [line["message"] for line in lines]
    assert "".join(message.get("thinking", "") for message in messages) == "I have to look."
    assert "".join(message["content"] for message in messages).strip() == "Let me see."
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    assert calls == [
        {"index": 0, "name": "weather", "arguments": {"city": "Ulm"}},
        {"index": 1, "name": "weather", "arguments": {"city": "Bonn\u2028"}},
    ]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["done_reason"] == "stop"
    (submission,) = gateway.submissions
    assert isinstance(submission.prompt, ChatPrompt)
    assert submission.prompt.tools == (agents.TEMPLATE_TOOL,)


def test_generate_thinks_too(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), agents.thought("Hm"), token("Hi"), finished(2))
    body = {"model": MODEL, "prompt": "hi", "think": True, "stream": False}
    answer = httpx2.post(f"{server.url}/api/generate", json=body).json()
    assert (answer["thinking"], answer["response"]) == ("Hm", "Hi")


def test_a_failure_after_a_call_is_a_line_with_error(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), agents.called(0, "Ulm"), failed(1))
    response = httpx2.post(f"{server.url}/api/chat", json=REQUEST)
    lines = [json.loads(line) for line in response.iter_lines()]
    assert not any(line["done"] for line in lines)
    assert lines[-1]["incident_id"] == "inc-7"


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_conversation_with_tools_is_what_templates_read(with_ids: bool) -> None:
    def call(call_id: str, city: str) -> dict[str, Any]:
        return {"function": {"name": "weather", "arguments": {"city": city}}, **({"id": call_id} if with_ids else {})}

    def result(call_id: str, text: str) -> dict[str, Any]:
        return {
            "role": "tool",
            "content": text,
            **({"tool_call_id": call_id} if with_ids else {"tool_name": "weather"}),
        }

    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is it warmer?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "thinking": "I have to look.",
            "tool_calls": [call("call_a", "Ulm"), call("call_b", "Bonn")],
        },
        result("call_a", "12 degrees"),
        result("call_b", "Error: no such place"),
        {"role": "user", "content": "Go on."},
    ]
    prompt = prompt_of(OllamaChatSurface(), {**REQUEST, "messages": messages})
    told = json.dumps(prompt.messages)
    if not with_ids:
        told = told.replace("call_0", "call_a").replace("call_1", "call_b")
    assert tuple(json.loads(told)) == agents.TEMPLATE_MESSAGES


def test_a_result_without_its_call_is_told_all_the_same() -> None:
    message = {"role": "tool", "content": "12 degrees", "tool_name": "weather"}
    prompt = prompt_of(OllamaChatSurface(), {**REQUEST, "messages": [message]})
    assert prompt.messages == (agents.template_result("", "12 degrees"),)


@pytest.mark.parametrize(
    ("think", "arguments", "required"),
    [
        (None, {}, False),
        (False, {"enable_thinking": False}, False),
        (True, {"enable_thinking": True}, True),
        ("high", {"enable_thinking": True, "reasoning_effort": "high"}, True),
    ],
)
def test_thinking_is_asked_for(think: Any, arguments: Any, required: bool) -> None:
    for surface, body in ((OllamaChatSurface(), REQUEST), (OllamaGenerateSurface(), {"model": MODEL, "prompt": "hi"})):
        prompt = prompt_of(surface, {**body, "think": think})
        assert (prompt.template_arguments, prompt.requires_thinking) == (arguments, required)


def test_calls_are_an_assistants() -> None:
    call = {"function": {"name": "weather", "arguments": {}}}
    body = {**REQUEST, "messages": [{"role": "user", "content": "hi", "tool_calls": [call]}]}
    with pytest.raises(ApiError) as caught:
        OllamaChatSurface().parse(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, "messages[0].tool_calls")
