"""A chat answer that is streamed adds up to the one that is not, whatever it is made of; and both are bounded."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.http.agent_events import called, thought
from tests.transports.http.scripted_gateway import TASK, accepted, finished, token
from tests.transports.http.serving import sse_events
from transports.answers import TokenCandidate, TokenLogprobs
from transports.http.answer_collector import AnswerCollector
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity
from transports.http.openai.chat import ChatSurface
from transports.http.stream_answer import StreamAnswer
from transports.messages import TaskEvent

IDENTITY = AnswerIdentity(TASK, "tiny", 0, True)
SURFACE = ChatSurface()
CANDIDATE = st.builds(TokenCandidate, st.text(max_size=3), st.binary(max_size=3), st.floats(-9999, 0))
LOGPROBS = st.lists(
    st.builds(TokenLogprobs, CANDIDATE, st.integers(0, 9), st.lists(CANDIDATE, max_size=2).map(tuple)), max_size=2
).map(tuple)


def with_logprobs(event: Any, logprobs: tuple[TokenLogprobs, ...]) -> Any:
    return msgspec.structs.replace(event, logprobs=logprobs)


PARTS = st.one_of(
    st.builds(with_logprobs, st.builds(token, st.text(max_size=5)), LOGPROBS),
    st.builds(thought, st.text(min_size=1, max_size=5)),
    st.builds(called, st.integers(0, 3), st.sampled_from(["Ulm", "Bern"])),
)
ENDS = st.builds(
    with_logprobs,
    st.builds(finished, st.integers(0, 5), st.text(max_size=3), st.sampled_from(["stop", "length", "tool_calls"])),
    LOGPROBS,
)


def streamed(events: list[TaskEvent]) -> dict[str, Any]:
    """What a client adds the chunks up to."""
    answer = StreamAnswer(SURFACE.stream_writer(IDENTITY), "req-1")
    *chunks, usage, done = sse_events(b"".join(answer.handle(event) for event in events))
    assert done == "[DONE]"
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    deltas = [choice["delta"] for choice in choices]
    return {
        "text": "".join(delta.get("content", "") for delta in deltas),
        "reasoning": "".join(delta.get("reasoning_content", "") for delta in deltas),
        "calls": [
            {key: call[key] for key in ("id", "type", "function")}
            for delta in deltas
            for call in delta.get("tool_calls", ())
        ],
        "logprobs": [one for choice in choices if choice["logprobs"] for one in choice["logprobs"]["content"]],
        "finish_reasons": [choice["finish_reason"] for choice in choices if choice["finish_reason"]],
        "usage": json.loads(usage)["usage"],
    }


def whole(events: list[TaskEvent]) -> dict[str, Any]:
    collector = AnswerCollector(10**6)
    (answer,) = (answer for event in events if (answer := collector.handle(event)) is not None)
    body = json.loads(SURFACE.whole(IDENTITY, answer))
    (choice,) = body["choices"]
    message = choice["message"]
    return {
        "text": message["content"],
        "reasoning": message.get("reasoning_content", ""),
        "calls": message.get("tool_calls", []),
        "logprobs": choice["logprobs"]["content"] if choice["logprobs"] else [],
        "finish_reasons": [choice["finish_reason"]],
        "usage": body["usage"],
    }


@settings(deadline=None)
@given(st.lists(PARTS, max_size=8), ENDS)
def test_the_stream_adds_up_to_the_whole(parts: list[TaskEvent], end: TaskEvent) -> None:
    events = [accepted(), *parts, end]
    at_once, added_up = whole(events), streamed(events)
    if at_once["text"] is None:
        assert at_once["calls"]
        assert not added_up["text"].strip()
        at_once["text"] = added_up["text"]
    assert added_up == at_once


@pytest.mark.parametrize(
    "part",
    [
        token("x" * 40),
        thought("x" * 40),
        called(0, "x" * 40),
        with_logprobs(
            token(""), (TokenLogprobs(TokenCandidate("", b"", 0.0), 0, (TokenCandidate("", b"", 0.0),) * 2),)
        ),
    ],
)
def test_every_part_of_a_held_answer_counts(part: TaskEvent) -> None:
    collector = AnswerCollector(1000)
    assert collector.handle(part) is None
    with pytest.raises(ApiError) as caught:
        for _ in range(10):
            collector.handle(part)
    assert caught.value.code == "answer_too_long"
