"""What the `openai` client makes of our Responses API, and of its failures."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.transports.http.scripted_gateway import (
    INCIDENT,
    MODEL,
    ScriptedGateway,
    accepted,
    answer,
    failed,
    finished,
    play,
    token,
)
from tests.transports.http.serving import Serving, serving
from transports.http.errors import ApiError
from transports.http.limits import HttpLimits
from transports.http.openai.responses import ResponsesSurface
from transports.messages import ChatPrompt, PrefillProgress

REQUEST: dict[str, Any] = {"model": MODEL, "input": "hi"}


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


def test_a_whole_response(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    response = client.responses.create(
        model=MODEL,
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}], "type": "message"},
            {"role": "user", "content": [{"type": "input_text", "text": "g"}, {"type": "input_text", "text": "o"}]},
        ],
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        metadata={"user": "ann"},
        store=True,
    )
    assert response.output_text == "Hello world"
    assert (response.status, response.model, response.temperature) == ("completed", MODEL, 0.5)
    assert response.metadata == {"user": "ann"}
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (5, 2, 7)
    assert response.to_dict()["store"] is False
    (submission,) = gateway.submissions
    assert submission.prompt == ChatPrompt(
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "go"},
        )
    )
    assert (submission.sampling.max_tokens, submission.sampling.top_p) == (7, 0.9)
    assert submission.metadata == {"user": "ann"}


def test_a_stream_adds_up_to_the_response(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(PrefillProgress("task-1", 1, 5), accepted(), token("a\u2028"), token("b"), finished(2, "!"))
    with client.responses.stream(**REQUEST) as stream:
        events = list(stream)
        assert stream.get_final_response().output_text == "a\u2028b!"
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_stream_that_reached_its_length_is_incomplete(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("Hello"), finished(1, reason="length"))
    *_, last = client.responses.create(stream=True, **REQUEST)
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("helper", [True, False])
def test_a_failure_in_a_stream_raises_with_the_incident(
    client: openai.OpenAI, gateway: ScriptedGateway, helper: bool
) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    kinds: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        if helper:
            with client.responses.stream(**REQUEST) as stream:
                kinds.extend(event.type for event in stream)
        else:
            for event in client.responses.create(stream=True, **REQUEST):
                kinds.append(event.type)
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds
    assert caught.value.message.startswith(f"{INCIDENT.message} {INCIDENT.next_step} (request ")
    body: Any = caught.value.body
    assert (body["incident_id"], body["rank"], body["tokens_emitted"]) == ("inc-7", 1, 1)
    assert body["request_id"] == gateway.submissions[0].request_id


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_token_has_a_status(
    client: openai.OpenAI, gateway: ScriptedGateway, stream: bool
) -> None:
    gateway.script = play(failed(0))
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(stream=stream, **REQUEST)
    assert caught.value.code == "runner_crashed"


def test_an_answer_too_long_to_be_repeated_fails_in_its_stream() -> None:
    gateway = ScriptedGateway(answer("Hello", " world"))
    with (
        serving(gateway, max_answer_bytes=30) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIError) as caught,
    ):
        list(client.responses.create(stream=True, **REQUEST))
    body: Any = caught.value.body
    assert (body["code"], body["tokens_emitted"]) == ("answer_too_long", 2)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "web_search_call", "id": "1"}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"truncation": "auto"}, "truncation"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_what_is_not_supported_is_named(change: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ResponsesSurface(HttpLimits()).parse(json.dumps({**REQUEST, **change}).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_asks_for_nothing_is_not_refused() -> None:
    nothing = {
        "tools": [], "tool_choice": "auto", "reasoning": {"effort": None}, "text": {"format": {"type": "text"}},
        "truncation": "disabled", "background": False, "include": [], "store": False, "user": "ann",
    }  # fmt: skip
    parsed = ResponsesSurface(HttpLimits()).parse(json.dumps({**REQUEST, **nothing}).encode())
    assert parsed.prompt == ChatPrompt(messages=({"role": "user", "content": "hi"},))
