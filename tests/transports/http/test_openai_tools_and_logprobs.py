"""What the `openai` client makes of calls of tools, reasoning and log-probabilities."""

from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest

from tests.transports.http.scripted_gateway import (
    MODEL,
    ScriptedGateway,
    accepted,
    call,
    finished,
    play,
    token,
)
from tests.transports.http.serving import Serving
from transports.answers import TokenCandidate, TokenLogprobs
from transports.messages import ChatPrompt, TaskEvent

MESSAGES: Any = [{"role": "user", "content": "hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


def candidate(text: str, logprob: float) -> TokenCandidate:
    return TokenCandidate(text, text.encode(), logprob)


def logprobs(text: str, offset: int, *others: str) -> TokenLogprobs:
    chosen = candidate(text, -0.5)
    return TokenLogprobs(chosen, offset, tuple(candidate(other, -0.25) for other in others))


def with_logprobs(event: Any, *tokens: TokenLogprobs) -> Any:
    return msgspec.structs.replace(event, logprobs=tokens)


CALLING: tuple[TaskEvent, ...] = (
    accepted(),
    msgspec.structs.replace(token("", 0), reasoning="hm"),
    token("Let me see.", 1),
    token("", 2),
    call("f", '{"a": 1}', 0),
    call("g", "{}", 1),
    finished(3, reason="tool_calls"),
)


def test_a_whole_answer_with_calls(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(*CALLING)
    choice = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="auto", parallel_tool_calls=False
    ).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see."
    calls: Any = choice.message.tool_calls
    assert [(made.id, made.type, made.function.name, made.function.arguments) for made in calls] == [
        ("call00000", "function", "f", '{"a": 1}'),
        ("call00001", "function", "g", "{}"),
    ]
    said: Any = choice.message
    assert (said.reasoning_content, said.reasoning) == ("hm", "hm")
    submission = gateway.submissions[0]
    assert submission.prompt == ChatPrompt(tuple(MESSAGES), tuple(TOOLS))
    assert submission.sampling.max_tool_calls == 1


def test_a_streamed_answer_with_calls_adds_up_to_the_same(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(*CALLING)
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS) as stream:
        events = list(stream)
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see."
    calls: Any = choice.message.tool_calls
    assert [(made.id, made.function.name, made.function.arguments) for made in calls] == [
        ("call00000", "f", '{"a": 1}'),
        ("call00001", "g", "{}"),
    ]
    assert sum(event.type == "tool_calls.function.arguments.done" for event in events) == 2


def test_an_answer_of_calls_alone_has_no_content(client: openai.OpenAI, gateway: ScriptedGateway) -> None:
    gateway.script = play(accepted(), token("\n"), call("f", "{}"), finished(1, reason="tool_calls"))
    message = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS).choices[0].message
    assert message.content is None


def test_results_of_calls_reach_the_template_with_the_name_of_their_tool(
    client: openai.OpenAI, gateway: ScriptedGateway
) -> None:
    made = {"id": "call00000", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    history: Any = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [made], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "call00000", "content": "2"},
    ]
    client.chat.completions.create(
        model=MODEL, messages=history, tools=TOOLS, tool_choice="none", reasoning_effort="low"
    )
    prompt = gateway.submissions[0].prompt
    assert isinstance(prompt, ChatPrompt)
    assert prompt.tools == ()
    assert prompt.template_arguments == {"enable_thinking": True, "reasoning_effort": "low"}
    assert prompt.messages[1]["reasoning_content"] == "hm"
    assert prompt.messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert prompt.messages[2] == {"role": "tool", "content": "2", "tool_call_id": "call00000", "name": "f"}


TOLD: tuple[TaskEvent, ...] = (
    accepted(),
    with_logprobs(token("a", 0), logprobs("a", 0, "b", "a")),
    token("", 1),
    with_logprobs(finished(2, text="é"), logprobs("\ufffd", 1, "x"), logprobs("\ufffd", 1, "x")),
)


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_of_a_chat(client: openai.OpenAI, gateway: ScriptedGateway, *, stream: bool) -> None:
    gateway.script = play(*TOLD)
    answer: Any = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, logprobs=True, top_logprobs=2, stream=stream
    )
    choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
    tokens = [one for choice in choices if choice.logprobs for one in choice.logprobs.content]
    assert [one.token for one in tokens] == ["a", "\ufffd", "\ufffd"]
    assert (tokens[0].logprob, tokens[0].bytes) == (-0.5, [97])
    assert [(other.token, other.logprob, other.bytes) for other in tokens[0].top_logprobs] == [
        ("b", -0.25, [98]),
        ("a", -0.25, [97]),
    ]
    assert gateway.submissions[0].sampling.logprobs == 2
    if stream:
        assert [choice.delta.content for choice in choices] == ["", "a", "é", None]


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_of_a_completion(client: openai.OpenAI, gateway: ScriptedGateway, *, stream: bool) -> None:
    gateway.script = play(*TOLD)
    answer: Any = client.completions.create(model=MODEL, prompt="hi", logprobs=2, stream=stream)
    choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
    told = [choice.logprobs for choice in choices if choice.logprobs]
    assert [name for part in told for name in part.tokens] == ["a", "\ufffd", "\ufffd"]
    assert [value for part in told for value in part.token_logprobs] == [-0.5, -0.5, -0.5]
    assert [offset for part in told for offset in part.text_offset] == [0, 1, 1]
    assert next(top for part in told for top in part.top_logprobs) == {"b": -0.25, "a": -0.5}
    assert gateway.submissions[0].sampling.logprobs == 2


def test_logprobs_are_those_of_the_chosen_tokens_alone_unless_more_are_asked_for(
    client: openai.OpenAI, gateway: ScriptedGateway
) -> None:
    gateway.script = play(accepted(), with_logprobs(token("a"), logprobs("a", 0)), finished(1))
    chat: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, logprobs=True)
    assert chat.choices[0].logprobs.content[0].top_logprobs == []
    completion: Any = client.completions.create(model=MODEL, prompt="hi", logprobs=0)
    assert (completion.choices[0].logprobs.tokens, completion.choices[0].logprobs.top_logprobs) == (["a"], None)
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert [submission.sampling.logprobs for submission in gateway.submissions] == [0, 0, None]
