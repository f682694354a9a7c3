"""The stop scanner against a plain search, however the text is cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from runner.stop_sequences import StopScanner

texts = st.text(alphabet="abc", max_size=40)
stops = st.lists(st.text(alphabet="abc", min_size=1, max_size=5), max_size=4)


def scan(pieces: list[str], stop: list[str]) -> tuple[str, str | None]:
    scanner = StopScanner(stop)
    shown = ""
    for piece in pieces:
        text, stopped = scanner.push(piece)
        shown += text
        if stopped:
            return shown, stopped
    return shown + scanner.flush(), None


def expected(text: str, stop: list[str]) -> tuple[str, str | None]:
    for end in range(len(text) + 1):
        ending = [one for one in stop if text[:end].endswith(one)]
        if ending:
            longest = max(ending, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(texts, stops, st.data())
def test_any_cutting_gives_the_first_sequence_that_ends(text: str, stop: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert scan(pieces, stop) == expected(text, stop)


def test_only_what_may_become_a_stop_sequence_is_held_back() -> None:
    scanner = StopScanner(["END"])
    assert scanner.push("the E") == ("the ", None)
    assert scanner.push("N") == ("", None)
    assert scanner.push("d") == ("ENd", None)
