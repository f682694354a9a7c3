"""What the `openai` client makes of our answers, and of our failures."""

from collections.abc import Iterator

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
from tests.transports.http.serving import Serving
from transports.http.gateway import Refusal, RefusalCode
from transports.messages import ChatPrompt, RejectionCode, TaskRejected, TextPrompt, TokenPrompt

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


def test_whole_chat(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=0, max_completion_tokens=7, stop=["END"], seed=-1
    )
    assert completion.choices[0].message.content == "Hello world"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7
    submission = gateway.submissions[0]
    assert submission.prompt == ChatPrompt(({"role": "user", "content": "hi"},))
    assert submission.sampling.temperature == 0
    assert submission.sampling.max_tokens == 7
    assert submission.sampling.stop == ("END",)
    assert submission.sampling.seed == 2**63 - 1
    assert completion._request_id == submission.request_id


def test_streamed_chat(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("Hé"), token(""), token("llo\u2028"), finished(3, text="!"))
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Héllo\u2028!"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, None, None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("abc", TextPrompt("abc")),
        (["abc"], TextPrompt("abc")),
        ([1, 2], TokenPrompt((1, 2))),
        ([[1, 2]], TokenPrompt((1, 2))),
    ],
)
def test_completions(client: openai.OpenAI, gateway: ScriptedGateway, prompt: object, expected: object) -> None:
    completion = client.completions.create(model=MODEL, prompt=prompt, extra_body={"ignore_eos": True})
    assert completion.choices[0].text == "Hello world"
    assert gateway.submissions[0].prompt == expected
    assert gateway.submissions[0].sampling.ignore_eos
    chunks = list(client.completions.create(model=MODEL, prompt=prompt, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello world"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL, "org/other"]
    assert client.models.retrieve("org/other").owned_by == "ringwarden"
    assert client.models.retrieve("other").id == "org/other"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gone")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("surface", ["chat", "completions"])
def test_failure_in_a_stream_is_an_api_error_with_the_incident(
    client: openai.OpenAI, gateway: ScriptedGateway, surface: str
) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    received: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        if surface == "chat":
            for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
                received.append(chunk.choices[0].delta.content or "")
        else:
            for text in client.completions.create(model=MODEL, prompt="hi", stream=True):
                received.append(text.choices[0].text)
    assert "".join(received) == "Hello"
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.message.startswith(f"{INCIDENT.message} {INCIDENT.next_step} (request ")
    assert caught.value.code == "runner_crashed"
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["incident_id"] == "inc-7"
    assert body["rank"] == 1
    assert body["node"] == "node-a"
    assert body["cause"] == "killed_no_stderr"
    assert body["retryable"] is True
    assert body["tokens_emitted"] == 1
    assert body["request_id"] == gateway.submissions[0].request_id


@pytest.mark.parametrize("stream", [False, True])
def test_crash_before_acceptance_is_a_500(client: openai.OpenAI, gateway: ScriptedGateway, *, stream: bool) -> None:
    gateway.script = play(failed(0))
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream)
    assert caught.value.status_code == 500
    assert caught.value.code == "runner_crashed"
    assert caught.value.response.headers["retry-after"] == "1"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["rank"] == 1
    assert caught.value.request_id == gateway.submissions[0].request_id


def test_crash_in_a_whole_answer_is_a_500_with_the_tokens_that_were_lost(
    client: openai.OpenAI, gateway: ScriptedGateway
) -> None:
    gateway.script = play(accepted(), token("Hello"), failed(1))
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["tokens_emitted"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_prompt(client: openai.OpenAI, gateway: ScriptedGateway, *, stream: bool) -> None:
    gateway.script = play(
        TaskRejected("task-1", RejectionCode.CONTEXT_LENGTH_EXCEEDED, "too long", "messages", 3000, 2048)
    )
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "messages"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["n_prompt_tokens"] == 3000
    assert caught.value.body["n_ctx"] == 2048


def test_wrong_field_names_its_path(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": 5}])
    assert caught.value.param == "messages[0].content"
    assert gateway.submissions == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (RefusalCode.MODEL_NOT_FOUND, openai.NotFoundError),
        (RefusalCode.QUEUE_FULL, openai.RateLimitError),
        (RefusalCode.MODEL_LOADING, openai.InternalServerError),
    ],
)
def test_refusals(
    client: openai.OpenAI, gateway: ScriptedGateway, code: RefusalCode, expected: type[openai.APIStatusError]
) -> None:
    gateway.refusal = Refusal(code, "not now", retry_after_s=99)
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert caught.value.code == code.value
    if code is RefusalCode.MODEL_NOT_FOUND:
        assert caught.value.response.headers["x-should-retry"] == "false"
    else:
        assert caught.value.response.headers["retry-after"] == "30"


@pytest.mark.parametrize(("retry_after_s", "tries"), [(0.1, 2), (None, 1)])
def test_the_client_retries_what_a_retry_can_help_and_nothing_else(
    server: Serving, gateway: ScriptedGateway, retry_after_s: float | None, tries: int
) -> None:
    gateway.refusal = Refusal(RefusalCode.CLUSTER_DEGRADED, "a rank is down", retry_after_s=retry_after_s)
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=1, timeout=20) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(gateway.submissions) == tries


async def test_many_clients_at_once(server: Serving, gateway: ScriptedGateway) -> None:
    import anyio

    gateway.script = answer(*[f"{index} " for index in range(200)])
    expected = "".join(f"{index} " for index in range(200))
    texts: list[str] = []

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:

        async def read_one() -> None:
            stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
            texts.append("".join([chunk.choices[0].delta.content or "" async for chunk in stream]))

        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(read_one)
    assert texts == [expected] * 16
