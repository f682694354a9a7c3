"""An answer on its way out: stop sequences, log-probabilities beside their text, how many calls are enough."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.answer import Answer, Shown
from runner.answer_scanner import AnswerScanner
from runner.held_logprobs import HeldLogprobs
from tests.runner.test_answer_scanner import TEXTS, WRITTEN, parse
from transports.answers import TokenCandidate, TokenLogprobs
from transports.messages import SamplingParameters


def answer(**sampling: object) -> Answer:
    return Answer(AnswerScanner(WRITTEN, parse), SamplingParameters(logprobs=1, **sampling))  # type: ignore[arg-type]


def candidates(text: str) -> tuple[TokenCandidate, ...]:
    chosen = TokenCandidate(text, text.encode(), -0.5)
    return (chosen, chosen)


def write(machine: Answer, tokens: Sequence[str], *, is_whole: bool = True) -> Shown:
    """All that is shown of these tokens, added up."""
    whole = Shown()

    def add(shown: Shown) -> None:
        whole.text += shown.text
        whole.reasoning += shown.reasoning
        whole.calls += shown.calls
        whole.logprobs += shown.logprobs
        whole.stop_sequence, whole.is_enough = shown.stop_sequence, shown.is_enough

    for token in tokens:
        add(machine.push(token, candidates(token)))
        if whole.is_enough or whole.stop_sequence is not None:
            return whole
    add(machine.end("", is_whole=is_whole))
    return whole


def names(logprobs: Sequence[TokenLogprobs]) -> list[tuple[str, int]]:
    return [(token.chosen.text, token.offset) for token in logprobs]


def test_each_token_of_the_text_has_its_logprobs_once_and_in_place() -> None:
    whole = write(answer(), ["A", " ", "bird", "", " <", "b"])
    assert whole.text == "A bird <b"
    assert names(whole.logprobs) == [("A", 0), (" ", 1), ("bird", 2), ("", 6), (" <", 6), ("b", 8)]
    assert whole.logprobs[0].top == (whole.logprobs[0].chosen,)


def test_logprobs_come_with_the_text_that_was_held_back() -> None:
    machine = answer(stop=("<end>",))
    assert names(machine.push("a<", candidates("a<")).logprobs) == [("a<", 0)]
    assert machine.push("e", candidates("e")) == Shown()
    assert names(machine.push("x", candidates("x")).logprobs) == [("e", 2), ("x", 3)]


def test_tokens_of_a_stop_sequence_have_none() -> None:
    whole = write(answer(stop=("END",)), ["a", "bE", "N", "D and more"])
    assert (whole.text, whole.stop_sequence) == ("ab", "END")
    assert names(whole.logprobs) == [("a", 0), ("bE", 1)]


def test_reasoning_and_calls_have_none() -> None:
    whole = write(answer(), ["<think>", "hm", "</think>", "yes ", "<ca", "ll>one", "</call>", "done"])
    assert (whole.reasoning, whole.text, [call.name for call in whole.calls]) == ("hm", "yes done", ["one"])
    assert names(whole.logprobs) == [("yes ", 0), ("done", 4)]


def test_a_call_that_cannot_be_read_has_the_logprobs_of_its_text() -> None:
    whole = write(answer(), ["a", "<call>", "!", "</call>"])
    assert whole.text == "a<call>!</call>"
    assert names(whole.logprobs) == [("a", 0), ("<call>", 1), ("!", 7), ("</call>", 8)]


def test_what_asks_for_none_gets_none() -> None:
    machine = Answer(AnswerScanner(), SamplingParameters())
    assert machine.push("a") == Shown("a")
    assert machine.end("b", is_whole=True) == Shown("b")


@pytest.mark.parametrize("stop", ["ne", "</c", "<call>o"])
def test_a_stop_sequence_within_a_call_leaves_the_call_as_text(stop: str) -> None:
    written = "a<call>one</call>"
    whole = write(answer(stop=(stop,)), [*written])
    assert (whole.text, whole.calls, whole.stop_sequence) == (written[: written.index(stop)], [], stop)


def test_the_last_call_that_is_wanted_ends_the_answer() -> None:
    whole = write(answer(max_tool_calls=1), ["a", "<call>one two</call>", "<call>three</call>", "b"])
    assert (whole.text, [call.name for call in whole.calls], whole.is_enough) == ("a", ["one"], True)
    whole = write(answer(max_tool_calls=3), ["<call>one two</call>", "<call>three</call>", "b"])
    assert ([call.name for call in whole.calls], whole.text) == (["one", "two", "three"], "")


def test_tokens_of_reasoning_are_counted() -> None:
    machine = answer()
    write(machine, ["<think>", "a", "b", "</think>", "c"])
    assert machine.reasoning_tokens == 3


@settings(deadline=None)
@given(TEXTS, st.lists(st.sampled_from(["a", "ll", "</", "b c"]), max_size=2), st.booleans(), st.data())
def test_any_cutting_into_tokens_shows_the_same(
    text: str, stop: list[str], is_whole: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    tokens = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    once = write(answer(stop=tuple(stop)), [text], is_whole=is_whole)
    whole = write(answer(stop=tuple(stop)), tokens, is_whole=is_whole)
    assert (whole.text, whole.reasoning, whole.calls, whole.stop_sequence) == (
        once.text,
        once.reasoning,
        once.calls,
        once.stop_sequence,
    )
    offsets = [token.offset for token in whole.logprobs]
    assert offsets == sorted(offsets)
    assert all(0 <= offset <= len(whole.text) for offset in offsets)


def _token(data: bytes) -> tuple[TokenCandidate, ...]:
    return (TokenCandidate(data.decode("utf-8", "replace"), data, -0.5),)


def test_a_token_belongs_to_the_character_in_which_it_begins_whoever_holds_the_text_back() -> None:
    """A detokenizer holds back single spaces and incomplete characters."""
    bird = "🐦".encode()
    machine = answer(stop=("🐦🐦",))
    shown = [
        machine.push("a", _token(b"a")),
        machine.push("", _token(b" ")),
        machine.push("", _token(bird[:2])),
        machine.push(" 🐦", _token(bird[2:])),
        machine.push("", _token(b" ")),
        machine.push(" b", _token(b"b")),
        machine.push("", _token(bird[:3])),
        machine.push("🐦🐦", _token(bird[3:] + bird)),
    ]
    assert [step.text for step in shown] == ["a", "", "", " ", "", "🐦 b", "", ""]
    offsets = [[token.offset for token in step.logprobs] for step in shown]
    assert offsets == [[0], [], [], [1], [], [2, 2, 3, 4], [], []]
    assert shown[-1].stop_sequence == "🐦🐦"


def test_tokens_without_any_text_come_with_the_next_text_or_the_end() -> None:
    machine = Answer(AnswerScanner(), SamplingParameters(logprobs=0))
    assert not machine.push("", _token(b"<end>")).logprobs
    assert [token.offset for token in machine.push("a", _token(b"a")).logprobs] == [0, 0]
    assert not machine.push("", _token(b"<end>")).logprobs
    assert not machine.push("", _token(b"<end>")).logprobs
    assert [token.offset for token in machine.end("", is_whole=False).logprobs] == [1, 1]


def test_tokens_beyond_the_limit_that_wait_are_never_told() -> None:
    held = HeldLogprobs(max_held_tokens=2)
    for letter in "abc":
        held.hold(_token(letter.encode()), letter)
    assert names(held.show(3)) == [("b", 1), ("c", 2)]
