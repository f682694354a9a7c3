"""Calls of tools, reasoning, log-probabilities and seeds through a real daemon with two real ranks."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.end_to_end.service import Service, service
from tests.runner import random_model

pytestmark = [pytest.mark.mlx, pytest.mark.timeout(300)]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    model = random_model.build(tmp_path_factory.mktemp("tools") / "echo", layers=2, tools=True)
    with service("--engine=tests.faults.echo:EchoEngine", f"--model={model}", "--ranks=2") as started:
        started.wait_ready()
        yield started


@pytest.fixture(scope="module")
def client(running: Service) -> openai.OpenAI:
    return running.client()


def ask(client: openai.OpenAI, said: str, **arguments: Any) -> Any:
    """The answer: what was said."""
    messages: Any = [{"role": "user", "content": said}]
    return client.chat.completions.create(model="echo", messages=messages, temperature=0, **arguments)


def test_a_call_whole_and_streamed(client: openai.OpenAI) -> None:
    said = f"<think>hm</think>I see.{CALL}"
    choice = ask(client, said, tools=TOOLS).choices[0]
    chunks = [chunk.choices[0] for chunk in ask(client, said, tools=TOOLS, stream=True)]
    (told,) = choice.message.tool_calls
    (streamed,) = (made for chunk in chunks for made in chunk.delta.tool_calls or ())
    for made in (told, streamed):
        assert (made.function.name, json.loads(made.function.arguments)) == ("weather", {"city": "Bern"})
    assert told.id != streamed.id
    assert (choice.finish_reason, chunks[-1].finish_reason) == ("tool_calls", "tool_calls")
    assert (choice.message.content, choice.message.reasoning_content) == ("I see.", "hm")
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "I see."
    assert "".join(getattr(chunk.delta, "reasoning_content", "") for chunk in chunks) == "hm"


def test_the_result_of_a_call_goes_back_to_the_model(client: openai.OpenAI) -> None:
    made = ask(client, CALL, tools=TOOLS).choices[0].message
    history: Any = [
        {"role": "user", "content": "It is sunny."},
        made.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": made.tool_calls[0].id, "content": "sunny"},
    ]
    answer = client.chat.completions.create(model="echo", messages=history, tools=TOOLS, temperature=0)
    assert answer.choices[0].message.content == "It is sunny."


def test_a_call_that_cannot_be_read_is_content(client: openai.OpenAI) -> None:
    broken = "<tool_call>weather?</tool_call>"
    choice = ask(client, broken, tools=TOOLS).choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (broken, None, "stop")


def test_logprobs(client: openai.OpenAI) -> None:
    choice = ask(client, "Grüße END", logprobs=True, top_logprobs=2, stop=["END"]).choices[0]
    tokens = choice.logprobs.content
    assert choice.message.content == "Grüße "
    assert bytes(byte for token in tokens for byte in token.bytes).decode() == "Grüße "
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)
    streamed = [
        one
        for chunk in ask(client, "Grüße END", logprobs=True, top_logprobs=2, stop=["END"], stream=True)
        if chunk.choices[0].logprobs
        for one in chunk.choices[0].logprobs.content
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]
    completion: Any = client.completions.create(
        model="echo", prompt="a b", logprobs=1, max_tokens=6, temperature=0, extra_body={"ignore_eos": True}
    )
    told = completion.choices[0].logprobs
    assert len(told.tokens) == len(told.text_offset) == 6
    assert all(len(top) == 1 for top in told.top_logprobs)


def test_a_seed_repeats_an_answer(client: openai.OpenAI) -> None:
    def sample(seed: int | None) -> str:
        body = {"ignore_eos": True}
        made = client.completions.create(model="echo", prompt="a b", max_tokens=6, seed=seed, extra_body=body)
        return made.choices[0].text

    first = sample(11)
    assert sample(11) == first
    assert sample(12) != first
