"""What the `openai` client makes of function calls and reasoning in responses, and what a model is given of them."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.transports.http import agent_events as agents
from tests.transports.http.scripted_gateway import MODEL, TASK, ScriptedGateway, accepted, failed, play, token
from tests.transports.http.serving import Serving
from transports.answers import TaskFinished, ToolCallChunk
from transports.http.errors import ApiError
from transports.http.limits import HttpLimits
from transports.http.openai.responses import ResponsesSurface
from transports.messages import ChatPrompt

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "How it is outside.",
    "parameters": agents.PARAMETERS,
    "strict": False,
}
REQUEST: dict[str, Any] = {"model": MODEL, "input": "hi", "tools": [TOOL]}


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


def prompt_of(body: dict[str, Any]) -> ChatPrompt:
    prompt = ResponsesSurface(HttpLimits()).parse(json.dumps(body).encode()).prompt
    assert isinstance(prompt, ChatPrompt)
    return prompt


@pytest.mark.parametrize("stream", [True, False])
def test_an_agents_answer(client: openai.OpenAI, gateway: ScriptedGateway, stream: bool) -> None:
    gateway.script = agents.an_agents_answer()
    response: Any
    if stream:
        with client.responses.stream(**REQUEST) as answer:
            response = answer.get_final_response()
    else:
        response = client.responses.create(**REQUEST)
    reasoning, message, *calls = response.output
    assert (reasoning.type, reasoning.content[0].text, reasoning.summary) == ("reasoning", "I have to look.", [])
    assert response.output_text.strip() == "Let me see."
    assert message.type == "message"
    assert [(call.type, call.call_id, call.name, json.loads(call.arguments), call.status) for call in calls] == [
        ("function_call", "call_0", "weather", {"city": "Ulm"}, "completed"),
        ("function_call", "call_1", "weather", {"city": "Bonn\u2028"}, "completed"),
    ]
    assert response.status == "completed"
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert len({item.id for item in response.output}) == 4
    (submission,) = gateway.submissions
    assert isinstance(submission.prompt, ChatPrompt)
    assert submission.prompt.tools == (agents.TEMPLATE_TOOL,)


@pytest.mark.parametrize("stream", [True, False])
def test_white_space_around_a_call_is_no_text(client: openai.OpenAI, gateway: ScriptedGateway, stream: bool) -> None:
    gateway.script = agents.a_bare_call()
    response: Any
    if stream:
        with client.responses.stream(**REQUEST) as answer:
            response = answer.get_final_response()
    else:
        response = client.responses.create(**REQUEST)
    assert [item.type for item in response.output] == ["function_call"]


def test_the_events_in_their_order(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(
        accepted(), agents.thought("Hm"), token("Hi"), agents.called(0, "Ulm"), agents.calls_finished()
    )
    events: list[Any] = list(client.responses.create(stream=True, **REQUEST))
    part = ["response.output_item.added", "response.content_part.added"]
    part_end = ["response.content_part.done", "response.output_item.done"]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        *(*part, "response.reasoning_text.delta", "response.reasoning_text.done", *part_end),
        *(*part, "response.output_text.delta", "response.output_text.done", *part_end),
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    places = [event.output_index for event in events if hasattr(event, "output_index")]
    assert places == sorted(places)
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == events[-1].response.output


@pytest.mark.parametrize("before", [[agents.thought("hm")], [token("Let"), agents.called(0, "Ulm")]])
@pytest.mark.parametrize("helper", [True, False])
def test_a_failure_raises_whatever_item_came_last(
    client: openai.OpenAI, gateway: ScriptedGateway, before: Any, helper: bool
) -> None:
    gateway.script = play(accepted(), *before, failed(1))
    with pytest.raises(openai.APIError) as caught:
        if helper:
            with client.responses.stream(**REQUEST) as stream:
                list(stream)
        else:
            list(client.responses.create(stream=True, **REQUEST))
    body: Any = caught.value.body
    assert body["incident_id"] == "inc-7"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_cut_while_it_thinks_is_incomplete(
    client: openai.OpenAI, gateway: ScriptedGateway, stream: bool
) -> None:
    gateway.script = play(accepted(), agents.thought("Hm"), TaskFinished(TASK, "length", 5, 1))
    response: Any
    if stream:
        *_, last = client.responses.create(stream=True, **REQUEST)
        assert last.type == "response.incomplete"
        response = last.response
    else:
        response = client.responses.create(**REQUEST)
    assert [(item.type, item.status) for item in response.output] == [("reasoning", "incomplete")]
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_conversation_with_functions_is_what_templates_read() -> None:
    prompt = prompt_of(
        {
            **REQUEST,
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Where is it warmer?"}]},
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [],
                    "content": [{"type": "reasoning_text", "text": "I have to look."}],
                    "encrypted_content": None,
                },
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
                {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": '{"city": "Ulm"}'},
                {"type": "function_call", "call_id": "call_b", "name": "weather", "arguments": '{"city": "Bonn"}'},
                {"type": "function_call_output", "call_id": "call_a", "output": "12 degrees"},
                {
                    "type": "function_call_output",
                    "call_id": "call_b",
                    "output": [{"type": "input_text", "text": "Error: no such place"}],
                },
                {"role": "user", "content": "Go on."},
            ],
        }
    )
    assert prompt.messages == agents.TEMPLATE_MESSAGES


def test_a_coding_agents_request_is_not_refused() -> None:
    body = {
        "model": MODEL,
        "instructions": "You are a coding agent.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "permissions"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "c2VjcmV0"},
        ],
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "session-1",
        "service_tier": "auto",
        "text": {"verbosity": None},
        "client_metadata": {"x": "y"},
    }
    parsed = ResponsesSurface(HttpLimits()).parse(json.dumps(body).encode())
    assert isinstance(parsed.prompt, ChatPrompt)
    assert [message["role"] for message in parsed.prompt.messages] == ["system", "user"]
    assert parsed.prompt.messages[0]["content"] == "You are a coding agent.\n\npermissions"
    assert parsed.prompt.tools == (agents.TEMPLATE_TOOL,)
    assert parsed.prompt.template_arguments == {"enable_thinking": True, "reasoning_effort": "medium"}
    assert parsed.sampling.max_tool_calls == 1
    unasked = ResponsesSurface(HttpLimits()).parse(json.dumps({**body, "reasoning": None}).encode())
    assert isinstance(unasked.prompt, ChatPrompt)
    assert unasked.prompt.template_arguments == {}
    assert prompt_of({**REQUEST, "tool_choice": "none"}).tools == ()


@pytest.mark.parametrize("stream", [True, False])
def test_functions_in_a_namespace_are_called_in_it(
    client: openai.OpenAI, gateway: ScriptedGateway, stream: bool
) -> None:
    call = ToolCallChunk(TASK, 0, "call_0", "sky.weather", "{}")
    gateway.script = play(accepted(), call, agents.calls_finished())
    earlier: list[Any] = [
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": "a", "name": "weather", "namespace": "sky", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "12 degrees"},
    ]
    tools: Any = [{"type": "namespace", "name": "sky", "description": "Above.", "tools": [TOOL]}]
    response: Any
    if stream:
        *_, last = client.responses.create(model=MODEL, input=earlier, tools=tools, stream=True)
        assert last.type == "response.completed"
        response = last.response
    else:
        response = client.responses.create(model=MODEL, input=earlier, tools=tools)
    assert [(item.namespace, item.name) for item in response.output] == [("sky", "weather")]
    (submission,) = gateway.submissions
    assert isinstance(submission.prompt, ChatPrompt)
    assert [tool["function"]["name"] for tool in submission.prompt.tools] == ["sky.weather"]
    _, called, told = submission.prompt.messages
    assert (called["tool_calls"][0]["function"]["name"], told["name"]) == ("sky.weather", "sky.weather")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [TOOL, {"type": "web_search", "external_web_access": False}]}, "tools[1].type"),
        ({"tools": [{"type": "custom", "name": "apply_patch", "format": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "a.b"}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "x"}]}]}, "tools[0].tools[0].type"),
        ({"tool_choice": {"type": "function", "name": "weather"}}, "tool_choice"),
        ({"input": [{"type": "function_call", "name": "weather", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "a", "arguments": "{}"}]}, "input[0].name"),
        (
            {"input": [{"type": "function_call", "call_id": "a", "name": "weather", "arguments": "[1]"}]},
            "input[0].arguments",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image"}]}]},
            "input[0].output[0].type",
        ),
    ],
)
def test_what_is_not_supported_is_named(change: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ResponsesSurface(HttpLimits()).parse(json.dumps({**REQUEST, **change}).encode())
    assert (caught.value.status, caught.value.param) == (400, param)
