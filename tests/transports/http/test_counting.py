"""Counting a prompt: what clients are told, and that it fails as every request does."""

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.transports.http.scripted_gateway import (
    MODEL,
    ScriptedGateway,
    accepted,
    failed,
    finished,
    play,
    play_then_wait,
)
from tests.transports.http.serving import RawClient, Serving
from transports.http.gateway import Refusal, RefusalCode
from transports.messages import ChatPrompt, RejectionCode, TaskRejected

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def count(server: Serving) -> int:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=20) as client:
        return client.messages.count_tokens(model=MODEL, messages=MESSAGES, system="Be brief.").input_tokens


def test_both_apis_count(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), finished(0, reason="length"))
    assert count(server) == 5
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        counted = client.responses.input_tokens.count(model=MODEL, input="hi", instructions="Be brief.")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 5)
    for submission in gateway.submissions:
        assert submission.sampling.max_tokens == 0
        assert isinstance(submission.prompt, ChatPrompt)
        assert submission.prompt.messages == ({"role": "system", "content": "Be brief."}, *MESSAGES)


def test_a_prompt_beyond_the_context_has_a_number(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play(TaskRejected("task-1", RejectionCode.CONTEXT_LENGTH_EXCEEDED, "no", "messages", 9000, 8192))
    assert count(server) == 9000


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (play(failed(0)), 500),
        (play(accepted(), failed(0)), 500),
        (play(accepted(), finished(0, reason="cancelled")), 503),
        (play(TaskRejected("task-1", RejectionCode.INVALID_REQUEST, "no", "messages")), 400),
        (play(), 500),
    ],
)
def test_failures_raise(server: Serving, gateway: ScriptedGateway, script: Any, status: int) -> None:
    gateway.script = script
    with pytest.raises(anthropic.APIStatusError) as caught:
        count(server)
    assert caught.value.status_code == status


def test_a_refusal_raises(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.refusal = Refusal(RefusalCode.MODEL_LOADING, "not yet", retry_after_s=3)
    with pytest.raises(anthropic.APIStatusError) as caught:
        count(server)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert caught.value.response.headers["retry-after"] == "3"


def test_who_leaves_is_not_counted_for(server: Serving, gateway: ScriptedGateway) -> None:
    gateway.script = play_then_wait([accepted()])
    with RawClient(server.port) as client:
        client.request(
            "POST", "/v1/messages/count_tokens", b'{"model":"tiny","messages":[{"role":"user","content":"x"}]}'
        )
        assert gateway.submitted.wait(20)
        (submission,) = gateway.submissions
        assert submission.entered.wait(20)
    assert submission.left.wait(20)
    assert submission.cancelled


def test_a_bad_request_names_its_field(server: Serving) -> None:
    response = httpx2.post(f"{server.url}/v1/messages/count_tokens", json={"model": MODEL, "messages": []})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "messages")
    response = httpx2.post(f"{server.url}/v1/responses/input_tokens", json={"model": MODEL})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "input")
