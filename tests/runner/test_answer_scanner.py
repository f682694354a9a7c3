"""The answer scanner: what is shown does not depend on how the text was cut, and nothing is lost."""

import itertools
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.answer_scanner import AnswerFormat, AnswerScanner, Kind, Segment, ToolCall

MARKS = {
    "normal": [("<think>", "reasoning"), ("<call>", "tool")],
    "reasoning": [("</think>", "normal"), ("<call>", "tool")],
    "tool": [("</call>", "normal")],
}
WRITTEN = AnswerFormat("normal", MARKS)
OPENED = AnswerFormat("reasoning", MARKS)
ENDLESS = AnswerFormat("normal", {"normal": [("[CALLS]", "tool")]})


MAX_CALL = 12


def parse(text: str) -> Sequence[ToolCall]:
    """Calls are names; `!` is none that can be read."""
    return () if "!" in text else [ToolCall(name, "{}") for name in text.split()]


def merged(segments: Sequence[Segment]) -> list[tuple[Kind, str, tuple[str, ...]]]:
    result: list[tuple[Kind, str, tuple[str, ...]]] = []
    for segment in segments:
        names = tuple(call.name for call in segment.calls)
        if result and result[-1][0] == segment.kind != Kind.CALL:
            result[-1] = (segment.kind, result[-1][1] + segment.text, ())
        else:
            result.append((segment.kind, segment.text, names))
    return result


def scan(
    answer_format: AnswerFormat, pieces: Sequence[str], *, is_whole: bool = True
) -> list[tuple[Kind, str, tuple[str, ...]]]:
    scanner = AnswerScanner(answer_format, parse, max_call_characters=MAX_CALL)
    segments = [segment for piece in pieces for segment in scanner.push(piece)]
    return merged([*segments, *scanner.flush(is_whole=is_whole)])


def shown(answer_format: AnswerFormat, text: str, *, is_whole: bool = True) -> list[tuple[Kind, str, tuple[str, ...]]]:
    """What is not hidden."""
    return [segment for segment in scan(answer_format, [text], is_whole=is_whole) if segment[0] is not Kind.HIDDEN]


PARTS = ("<think>", "</think>", "<call>", "</call>", "[CALLS]", "<", "</", "ca", "ll>", "a", " ", "\n", "!", "b c")
TEXTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)
FORMATS = st.sampled_from([WRITTEN, OPENED, ENDLESS, AnswerFormat()])


@settings(deadline=None)
@given(FORMATS, TEXTS, st.booleans(), st.data())
@example(WRITTEN, "<call>!</call> <call>a</call> \n", True, None)
def test_any_cutting_shows_the_same(
    answer_format: AnswerFormat, text: str, is_whole: bool, data: st.DataObject | None
) -> None:
    cuts = range(len(text)) if data is None else sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    assert scan(answer_format, pieces, is_whole=is_whole) == scan(answer_format, [text], is_whole=is_whole)


@settings(deadline=None)
@given(FORMATS, TEXTS, st.booleans())
def test_all_segments_together_are_what_was_written(answer_format: AnswerFormat, text: str, is_whole: bool) -> None:
    assert "".join(part for _, part, _ in scan(answer_format, [text], is_whole=is_whole)) == text


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("ab <\n", max_size=6), st.sampled_from(["one", "two four"])), max_size=5))
def test_readable_calls_and_the_text_between_them_are_parted(parts: list[tuple[str, str]]) -> None:
    segments = shown(WRITTEN, "".join(f"{text}<call>{names}</call>" for text, names in parts))
    visible = "".join(text for kind, text, _ in segments if kind is Kind.TEXT)
    # White space right after a mark is left out.
    assert "".join(visible.split()) == "".join("".join(text.split()) for text, _ in parts)
    assert "call>" not in visible
    assert [name for _, _, names in segments for name in names] == " ".join(names for _, names in parts).split()


def test_text_reasoning_and_calls() -> None:
    text = "<think>\nfirst\n</think>\n\nSo: <call>one</call>\n<call>two three</call>\n"
    assert shown(WRITTEN, text) == [
        (Kind.REASONING, "first\n", ()),
        (Kind.TEXT, "So: ", ()),
        (Kind.CALL, "<call>one</call>", ("one",)),
        (Kind.CALL, "<call>two three</call>", ("two", "three")),
    ]


def test_reasoning_that_the_template_opened() -> None:
    assert shown(OPENED, "hm</think> yes") == [(Kind.REASONING, "hm", ()), (Kind.TEXT, "yes", ())]
    assert shown(OPENED, "hm") == [(Kind.REASONING, "hm", ())]


def test_a_call_out_of_reasoning_ends_it() -> None:
    assert shown(OPENED, "hm<call>one</call>yes")[1:] == [
        (Kind.CALL, "<call>one</call>", ("one",)),
        (Kind.TEXT, "yes", ()),
    ]


def test_a_call_that_cannot_be_read_is_text_as_it_was_written() -> None:
    assert shown(WRITTEN, "a <call>!</call> \nb") == [(Kind.TEXT, "a <call>!</call> \nb", ())]


def test_a_call_that_was_cut_off_is_text() -> None:
    assert shown(WRITTEN, "a <call>one", is_whole=False) == [(Kind.TEXT, "a <call>one", ())]
    assert shown(WRITTEN, "a <call>one</ca", is_whole=False) == [(Kind.TEXT, "a <call>one</ca", ())]


def test_a_model_may_end_its_last_call_by_ending() -> None:
    assert shown(ENDLESS, "a [CALLS]one two") == [(Kind.TEXT, "a ", ()), (Kind.CALL, "[CALLS]one two", ("one", "two"))]
    assert shown(WRITTEN, "<call>one") == [(Kind.CALL, "<call>one", ("one",))]


def test_a_call_that_is_too_long_is_text_from_then_on() -> None:
    longest = "one two four"
    assert shown(WRITTEN, f"<call>{longest}</call>")[0][0] is Kind.CALL
    assert shown(WRITTEN, f"<call>{longest}!</call>a<call>one</call>") == [
        (Kind.TEXT, f"<call>{longest}!</call>a", ()),
        (Kind.CALL, "<call>one</call>", ("one",)),
    ]


def test_only_what_may_become_a_mark_or_is_a_call_is_held_back() -> None:
    scanner = AnswerScanner(WRITTEN, parse)
    assert scanner.push("a <") == [Segment(Kind.TEXT, "a ")]
    assert scanner.push("b <cal") == [Segment(Kind.TEXT, "<b ")]
    assert scanner.push("l>one</call") == []
    assert [segment.kind for segment in scanner.push("> more")] == [Kind.CALL, Kind.HIDDEN, Kind.TEXT]
