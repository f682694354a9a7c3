"""What the `anthropic` client makes of our answers, and of our failures."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
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
    play_then_wait,
    token,
)
from tests.transports.http.serving import RawClient, Serving, serving
from transports.http.anthropic.messages import MessagesSurface
from transports.http.errors import ApiError
from transports.http.gateway import Refusal, RefusalCode
from transports.http.limits import HttpSecurity
from transports.messages import ChatPrompt, PrefillProgress, RejectionCode, TaskRejected

NO_THINKING = {"enable_thinking": False}
REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 7, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def client(server: Serving) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=20) as made:
        yield made


def test_a_whole_message(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    message = client.messages.create(
        model=MODEL,
        max_tokens=7,
        system=[{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": [{"type": "text", "text": "go", "cache_control": {"type": "ephemeral"}}]},
        ],
        stop_sequences=["END"],
        metadata={"user_id": "ann"},
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 40},
    )
    assert message.content[0].type == "text"
    assert message.content[0].text == "Hello world"
    assert (message.role, message.model, message.stop_reason) == ("assistant", MODEL, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 2)
    assert message._request_id is not None
    (submission,) = gateway.submissions
    assert submission.prompt == ChatPrompt(
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "go"},
        ),
        template_arguments=NO_THINKING,
    )
    sampling = submission.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (7, 0.5, 0.9, 40)
    assert sampling.stop == ("END",)
    assert submission.metadata == {"user_id": "ann"}


def test_a_stream_adds_up_to_the_message(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("a\u2028b"), token(""), token("é", 2), finished(7, "!", "length"))
    with client.messages.stream(**REQUEST) as stream:
        assert "".join(stream.text_stream) == "a\u2028bé!"
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 7)
    assert message.content[0].type == "text"
    assert message.content[0].text == "a\u2028bé!"


def test_the_events_in_their_order(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    gateway.script = play(PrefillProgress("task-1", 3, 5), accepted(), token("Hello"), finished(1))
    events = [event.type for event in client.messages.create(stream=True, **REQUEST)]
    assert events == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_silence_is_filled_with_pings(gateway: ScriptedGateway) -> None:
    gateway.script = play_then_wait([accepted(), token("Hello")], [finished(1)])
    with serving(gateway, comment_interval_s=0.1) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/messages?beta=true", json.dumps({**REQUEST, "stream": True}).encode())
        assert client.head()[1]["content-type"].startswith("text/event-stream")
        body = b""
        while b"event: ping\n" not in body:
            body += client.chunk()
        gateway.gate.open()
        body += client.chunked_body()
    assert body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_a_failure_in_a_stream_raises_with_the_incident(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    received: list[str] = []
    with pytest.raises(anthropic.APIStatusError) as caught, client.messages.stream(**REQUEST) as stream:
        received.extend(stream.text_stream)
    assert received == ["Hello"]
    assert caught.value.type == "api_error"
    body: Any = caught.value.body
    assert body["error"]["message"] == f"{INCIDENT.message} {INCIDENT.next_step} (request {body['request_id']})"
    assert (body["error"]["incident_id"], body["error"]["rank"], body["error"]["tokens_emitted"]) == ("inc-7", 1, 1)
    assert body["request_id"] == body["error"]["request_id"] == gateway.submissions[0].request_id


@pytest.mark.parametrize("end", [failed(0), None])
@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_token_has_a_status(
    client: anthropic.Anthropic, gateway: ScriptedGateway, end: Any, stream: bool
) -> None:
    gateway.script = play(*([] if end is None else [end]))
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(stream=stream, **REQUEST)
    assert caught.value.status_code == 500
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "api_error")
    assert body["error"]["code"] == ("internal_error" if end is None else "runner_crashed")
    assert caught.value.request_id == body["request_id"]


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (Refusal(RefusalCode.MODEL_NOT_FOUND, "no"), 404, "not_found_error"),
        (Refusal(RefusalCode.QUEUE_FULL, "no", retry_after_s=3), 429, "rate_limit_error"),
        (Refusal(RefusalCode.MODEL_LOADING, "no", retry_after_s=3), 503, "overloaded_error"),
    ],
)
def test_refusals(client: anthropic.Anthropic, gateway: ScriptedGateway, refusal: Refusal, status: int, kind: str):
    gateway.refusal = refusal
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**REQUEST)
    assert (caught.value.status_code, caught.value.type) == (status, kind)


def test_a_rejection_names_the_lengths(client: anthropic.Anthropic, gateway: ScriptedGateway) -> None:
    gateway.script = play(TaskRejected("task-1", RejectionCode.CONTEXT_LENGTH_EXCEEDED, "too long", "messages", 9, 8))
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**REQUEST)
    body: Any = caught.value.body
    assert body["error"]["type"] == "invalid_request_error"
    assert (body["error"]["n_prompt_tokens"], body["error"]["n_ctx"]) == (9, 8)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "The answer is"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        ({"temperature": 3}, "temperature"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"thinking": {"type": "sometimes"}}, "thinking.type"),
    ],
)
def test_bad_requests_name_the_field(change: Any, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        MessagesSurface().parse(json.dumps({**REQUEST, **change}).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


def test_every_error_of_the_path_has_anthropics_shape() -> None:
    key = {"x-api-key": "secret"}
    asked = [
        ("POST", "/v1/messages", {}, 401, "authentication_error"),
        ("POST", "/v1/messages", {"x-api-key": "other"}, 401, "authentication_error"),
        ("POST", "/v1/messages", {**key, "host": "evil.example"}, 403, "permission_error"),
        ("POST", "/v1/messages/count_tokens", key, 400, "invalid_request_error"),
        ("POST", "/v1/messages/batches", key, 404, "not_found_error"),
        ("GET", "/v1/messages", key, 405, "invalid_request_error"),
        ("POST", "/v1/messages", key, 400, "invalid_request_error"),
    ]
    with serving(ScriptedGateway(), security=HttpSecurity(api_key="secret")) as running:
        for method, path, headers, status, kind in asked:
            response = httpx2.request(method, running.url + path, json={"model": MODEL}, headers=headers)
            body = response.json()
            assert (response.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
            assert response.headers["request-id"] == response.headers["x-request-id"] == body["request_id"]


def test_the_clients_own_key_header_is_enough(gateway: ScriptedGateway) -> None:
    gateway.script = answer("Hello")
    with (
        serving(gateway, security=HttpSecurity(api_key="secret")) as running,
        anthropic.Anthropic(base_url=running.url, api_key="secret", max_retries=0) as client,
    ):
        assert client.messages.create(**REQUEST).stop_reason == "end_turn"
