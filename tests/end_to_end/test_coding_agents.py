"""Agents against real MLX: calls of tools through every API, true counts, a rank that dies after a call.

The model writes what its user says (`tests.faults.echo`), so a test decides what it calls.
"""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from tests.end_to_end.service import Service, service, wait_until
from tests.runner import random_model

pytestmark = [pytest.mark.mlx, pytest.mark.timeout(300)]

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>'
THOUGHT = f"<think>\nI have to look.\n</think>\nLet me see.\n{CALL}"


class Agents(NamedTuple):
    """A service with its model, and the clients."""

    service: Service
    model: str
    anthropic: anthropic.Anthropic
    openai: openai.OpenAI


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    folder: Path = random_model.build(tmp_path_factory.mktemp("agents") / "echo", layers=2, tools=True)
    with service("--engine=tests.faults.echo:EchoEngine", f"--model={folder}", "--ranks=1") as running:
        running.wait_ready()
        model = running.get("/v1/models")["data"][0]["id"]
        with anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0, timeout=60) as client:
            yield Agents(running, model, client, running.client())


def anthropic_request(agents: Agents, said: str) -> dict[str, Any]:
    return {
        "model": agents.model,
        "system": "Call what you need.",
        "tools": [{"name": "weather", "description": "How it is.", "input_schema": PARAMETERS}],
        "messages": [{"role": "user", "content": said}],
    }


def responses_request(agents: Agents, said: str) -> dict[str, Any]:
    tool = {"type": "function", "name": "weather", "description": "How it is.", "parameters": PARAMETERS}
    return {"model": agents.model, "instructions": "Call what you need.", "tools": [tool], "input": said}


def test_anthropic(agents: Agents) -> None:
    request = anthropic_request(agents, THOUGHT)
    with agents.anthropic.messages.stream(max_tokens=500, **request) as stream:
        message = stream.get_final_message()
    thinking, text, call = message.content
    assert (thinking.type, text.type, call.type) == ("thinking", "text", "tool_use")
    assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Ulm"}, "tool_use")
    assert agents.anthropic.messages.count_tokens(**request).input_tokens == message.usage.input_tokens
    told = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "12 degrees"}]}
    turns: Any = [
        *request["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [told, {"type": "text", "text": "It is mild STOP here"}]},
    ]
    answer = agents.anthropic.messages.create(max_tokens=500, stop_sequences=["STOP"], **{**request, "messages": turns})
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "STOP")
    assert [block.text for block in answer.content if block.type == "text"] == ["It is mild "]


def test_responses(agents: Agents) -> None:
    request = responses_request(agents, THOUGHT)
    with agents.openai.responses.stream(**request) as stream:
        response = stream.get_final_response()
    reasoning, message, call = response.output
    assert (reasoning.type, message.type, call.type) == ("reasoning", "message", "function_call")
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Ulm"})
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    counted = agents.openai.responses.input_tokens.count(**request)
    assert counted.input_tokens == response.usage.input_tokens
    items: Any = [
        {"role": "user", "content": THOUGHT},
        *(item.to_dict() for item in response.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"},
        {"role": "user", "content": "It is mild"},
    ]
    answer = agents.openai.responses.create(**{**request, "input": items})
    assert answer.output_text == "It is mild"


def test_ollama(agents: Agents) -> None:
    running = agents.service
    shown = running.post("/api/show", {"model": agents.model}).json()
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    tool = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
    body = {
        "model": agents.model,
        "messages": [{"role": "user", "content": THOUGHT}],
        "tools": [tool],
        "think": True,
    }
    messages = [json.loads(line)["message"] for line in running.post("/api/chat", body).iter_lines()]
    assert "I have to look." in "".join(message.get("thinking", "") for message in messages)
    (call,) = [call for message in messages for call in message.get("tool_calls", ())]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("weather", {"city": "Ulm"})


@pytest.mark.soak
def test_a_rank_that_dies_after_a_call_is_no_good_end(agents: Agents) -> None:
    """Last, because the group starts again after it."""
    said = CALL + " rank" * 600
    heard: dict[str, list[str]] = {"anthropic": [], "responses": []}

    def ask_anthropic() -> Any:
        request = anthropic_request(agents, said)
        with (
            pytest.raises(anthropic.APIStatusError) as caught,
            agents.anthropic.messages.stream(max_tokens=3000, **request) as stream,
        ):
            for event in stream:
                heard["anthropic"].append(event.type)
            stream.get_final_message()
        body: Any = caught.value.body
        return body["error"]

    def ask_responses() -> Any:
        with pytest.raises(openai.APIError) as caught:
            request = responses_request(agents, said)
            for event in agents.openai.responses.create(stream=True, **request):
                heard["responses"].append(event.type)
        return caught.value.body

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(ask_anthropic), pool.submit(ask_responses)]
        wait_until(
            lambda: (
                any(future.done() for future in futures)
                or ("text" in heard["anthropic"] and "response.output_text.delta" in heard["responses"])
            ),
            "both have heard their call, and text after it",
        )
        os.kill(agents.service.pids()[0], signal.SIGKILL)
        errors = [future.result(timeout=60) for future in futures]
    for error in errors:
        assert (error["code"], error["rank"], error["cause"]) == ("runner_crashed", 0, "killed_no_stderr")
    assert "input_json" in heard["anthropic"]
    assert "response.function_call_arguments.done" in heard["responses"]
    assert "message_stop" not in heard["anthropic"]
    assert "response.completed" not in heard["responses"]
