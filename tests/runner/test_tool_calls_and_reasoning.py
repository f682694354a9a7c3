"""Calls of tools, reasoning and log-probabilities out of real tokens, with mlx-lm's parser."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.phase import Phase
from tests.runner.harness import Group, running
from transports.answers import TaskFinished, TokenChunk, ToolCallChunk
from transports.messages import ChatPrompt, SamplingParameters

pytestmark = pytest.mark.mlx
TOOLS = ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Zürich"}}\n</tool_call>'


@pytest.fixture(scope="module")
def group(tool_model: Path) -> Iterator[Group]:
    with running(engine="tests.faults.echo:EchoEngine", model=str(tool_model)) as group:
        yield group.wait_for_phase(Phase.READY)


class Told:
    """One task's events, added up."""

    def __init__(self, group: Group, task_id: str) -> None:
        (end,) = group.leader.terminals(task_id)
        assert isinstance(end, TaskFinished), end
        parts = [*group.leader.of(TokenChunk, task_id), end]
        self.end = end
        self.text = "".join(part.text for part in parts)
        self.reasoning = "".join(part.reasoning for part in parts)
        self.logprobs = [token for part in parts for token in part.logprobs]
        self.calls = group.leader.of(ToolCallChunk, task_id)
        self.chunks = group.leader.of(TokenChunk, task_id)


_task_number = iter(range(10**9))


def ask(group: Group, said: str, *, tools: bool = True, thinking: bool = False, **sampling: Any) -> Told:
    task_id = f"tool-{next(_task_number)}"
    messages = ({"role": "user", "content": said},)
    prompt = ChatPrompt(messages, TOOLS if tools else (), {"open_thinking": thinking})
    group.start(task_id, prompt, SamplingParameters(**{"temperature": 0.0, **sampling}))
    group.finish(task_id)
    return Told(group, task_id)


def test_a_call_is_told_whole_and_its_marks_never(group: Group) -> None:
    told = ask(group, f"Let me see.\n{CALL}")
    assert (told.text, told.end.finish_reason) == ("Let me see.\n", "tool_calls")
    (call,) = told.calls
    assert (call.index, call.name, json.loads(call.arguments)) == (0, "weather", {"city": "Zürich"})
    assert len(call.call_id) == 9
    assert call.call_id.isalnum()
    assert len(told.chunks) == told.end.completion_tokens


def test_several_calls_have_numbers_and_names_of_their_own(group: Group) -> None:
    told = ask(group, f"{CALL}\n{CALL}")
    assert told.text == ""
    assert [call.index for call in told.calls] == [0, 1]
    assert len({call.call_id for call in told.calls}) == 2


def test_one_call_is_enough_when_the_request_says_so(group: Group) -> None:
    told = ask(group, f"{CALL}\n{CALL} never", max_tool_calls=1)
    assert (len(told.calls), told.text, told.end.finish_reason) == (1, "", "tool_calls")
    assert told.end.completion_tokens < ask(group, f"{CALL}\n{CALL} never").end.completion_tokens


@pytest.mark.parametrize(
    "broken",
    [
        "<tool_call>\nweather in Bern\n</tool_call>",
        '<tool_call>\n{"arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "weather", "arguments": [1]}\n</tool_call>',
        '<tool_call>\n{"name": "weather", "argum',
    ],
)
def test_a_call_that_cannot_be_read_is_text(group: Group, broken: str) -> None:
    told = ask(group, f"Well: {broken}")
    assert (told.text, told.calls, told.end.finish_reason) == (f"Well: {broken}", [], "stop")


def test_the_limit_of_tokens_within_a_call_leaves_the_text(group: Group) -> None:
    told = ask(group, f"a {CALL}", max_tokens=20)
    assert told.end.finish_reason == "length"
    assert told.calls == []
    assert f"a {CALL}".startswith(told.text)
    assert told.text.startswith("a <tool_call>\n{")


def test_a_stop_sequence_is_told(group: Group) -> None:
    told = ask(group, "one, two, three", stop=("thr", "two"))
    assert (told.text, told.end.finish_reason, told.end.stop_sequence) == ("one, ", "stop", "two")
    assert ask(group, "one", stop=("two",)).end.stop_sequence is None


def test_what_was_offered_no_tools_calls_none(group: Group) -> None:
    told = ask(group, CALL, tools=False)
    assert (told.text, told.calls, told.end.finish_reason) == (CALL, [], "stop")


def test_reasoning_that_the_model_or_the_template_begins(group: Group) -> None:
    for told in (
        ask(group, "<think>\nA city.\n</think>\n\nBern."),
        ask(group, "A city.\n</think>\n\nBern.", thinking=True),
    ):
        assert (told.reasoning, told.text, told.end.finish_reason) == ("A city.\n", "Bern.", "stop")
        assert 0 < told.end.reasoning_tokens < told.end.completion_tokens
    cut = ask(group, "A city of", thinking=True, max_tokens=3)
    assert (cut.text, cut.end.finish_reason) == ("", "length")
    assert cut.reasoning


def test_logprobs_belong_to_the_text_and_come_with_it(group: Group) -> None:
    said = "<think>hm</think>Zürich 🙂 END"
    told = ask(group, said, logprobs=3, stop=("END",))
    assert told.text == "Zürich 🙂 "
    assert b"".join(token.chosen.data for token in told.logprobs).decode() == told.text
    for token in told.logprobs:
        assert len(token.top) == 3
        assert token.top[0] == token.chosen
        assert -0.001 < token.chosen.logprob <= 0
        assert [candidate.logprob for candidate in token.top] == sorted(
            (candidate.logprob for candidate in token.top), reverse=True
        )
    assert {token.offset for token in told.logprobs} <= set(range(len(told.text)))


def test_logprobs_without_alternatives_and_without_a_bias(group: Group) -> None:
    task_id = "plain-logprobs"
    group.start(task_id, "a b c", SamplingParameters(temperature=0.0, max_tokens=8, logprobs=0, ignore_eos=True))
    group.finish(task_id)
    told = Told(group, task_id)
    assert len(told.logprobs) == 8
    assert all(token.top == () and math.isfinite(token.chosen.logprob) for token in told.logprobs)
    assert not ask(group, "without").logprobs


def test_greedy_choices_are_the_likeliest_and_all_of_the_vocabulary_adds_up(group: Group) -> None:
    task_id = "whole-vocabulary"
    group.start(task_id, "a b c", SamplingParameters(temperature=0.0, max_tokens=8, logprobs=384, ignore_eos=True))
    group.finish(task_id)
    for token in Told(group, task_id).logprobs:
        assert token.chosen == token.top[0]
        assert len(token.top) == 384
        assert sum(math.exp(candidate.logprob) for candidate in token.top) == pytest.approx(1, rel=1e-4)
