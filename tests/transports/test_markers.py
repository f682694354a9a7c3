"""Markers come out whole, text goes through byte for byte, whatever the chunking and whoever else writes."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.line_joiner import LineJoiner
from transports.markers import (
    MAX_MARKER_BYTES,
    MarkerParser,
    MarkerWriter,
    Segment,
    TasksChanged,
    new_token,
    start_of,
)

TOKEN = "A" * 22
OTHER = "B" * 22
WRITER = MarkerWriter(TOKEN)
START = start_of(TOKEN)

looks_alike = st.sampled_from(
    [
        b"\x1e",
        b"\x1f",
        START[:9],
        START[:-1],
        START[:-1] + b"\x1e",
        start_of(OTHER) + b"+1 1 a\x1f",
        START,
        START + b"\x1f",
        START + b"+1 1\x1f",
        START + b"-x 1\x1f",
        START + b"=1 99999999\x1f",
        START + b"?" * MAX_MARKER_BYTES,
    ]
)
native_text = st.lists(st.binary(max_size=12) | looks_alike, max_size=4).map(b"".join)
python_text = st.binary(min_size=1, max_size=200)
operations = st.lists(
    st.tuples(st.just("native"), native_text)
    | st.tuples(st.just("python"), st.integers(0, 4), python_text)
    | st.tuples(st.just("enter"), st.integers(1, 4))
    | st.tuples(st.just("leave"), st.integers(1, 4)),
    max_size=14,
)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def parse(pieces: list[bytes]) -> tuple[list[Segment | TasksChanged], int]:
    parser = MarkerParser(TOKEN)
    found = [piece for data in pieces for piece in parser.feed(data)] + parser.finish()
    return joined(found), parser.serial


def joined(found: list[Segment | TasksChanged]) -> list[Segment | TasksChanged]:
    """The same with neighbouring segments of the same kind put together."""
    result: list[Segment | TasksChanged] = []
    for piece in found:
        last = result[-1] if result else None
        if isinstance(piece, Segment) and isinstance(last, Segment) and piece[1:] == last[1:]:
            result[-1] = last._replace(data=last.data + piece.data)
        else:
            result.append(piece)
    return result


def plain(found: list[Segment | TasksChanged]) -> bytes:
    return b"".join(piece.data for piece in found if isinstance(piece, Segment))


@settings(deadline=None)
@given(operations, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_gives_the_same_and_the_text_is_what_was_written(
    written: list[tuple[object, ...]], cuts: list[int]
) -> None:
    stream, text = b"", b""
    expected_tasks: dict[int, str] = {}
    serial = 0
    for operation in written:
        match operation:
            case ("native", bytes() as data):
                # A writer between two writes of ours; its own torn marker must not swallow our next one.
                stream += data + b"\n"
                text += data + b"\n"
            case ("python", int() as number, bytes() as data):
                stream += WRITER.announce(number, len(data)) + data
                text += data
            case ("enter", int() as number):
                serial += 1
                stream += WRITER.enter(serial, number, f"task {number}")
                expected_tasks[number] = f"task {number}"
            case ("leave", int() as number):
                serial += 1
                stream += WRITER.leave(serial, number)
                expected_tasks.pop(number, None)
            case _:
                raise AssertionError(operation)
    whole, reached = parse([stream])
    assert parse(in_pieces(stream, cuts)) == (whole, reached)
    # A start that is followed by no marker may hide the next one; the text around it still arrives whole.
    if START not in text:
        assert plain(whole) == text
        assert reached == serial
        changes = [piece for piece in whole if isinstance(piece, TasksChanged)]
        assert not changes or set(changes[-1].tasks) == set(expected_tasks.values())


@settings(deadline=None)
@given(native_text, st.lists(st.integers(0, 10_000), max_size=8))
def test_text_that_only_looks_like_a_marker_passes_unchanged(text: bytes, cuts: list[int]) -> None:
    found, serial = parse(in_pieces(text, cuts))
    assert plain(found) == text
    assert serial == 0


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda data: data + b"\x1e" + data), max_size=6), st.integers(0, 10_000))
def test_what_is_held_back_is_bounded(pieces: list[bytes], cut: int) -> None:
    parser = MarkerParser(TOKEN)
    fed = given_back = 0
    for data in [*pieces, START + b"+1 1 " + b"x" * (cut % 1000)]:
        fed += len(data)
        given_back += sum(len(piece.data) for piece in parser.feed(data) if isinstance(piece, Segment))
        assert fed - given_back <= MAX_MARKER_BYTES
    given_back += sum(len(piece.data) for piece in parser.finish() if isinstance(piece, Segment))
    assert fed == given_back


def test_owners_follow_the_markers() -> None:
    stream = (
        b"before\n"
        + WRITER.enter(1, 1, "a")
        + b"one\n"
        + WRITER.enter(2, 2, "b/ü \n")
        + b"two\n"
        + WRITER.announce(2, 6)
        + b"python"
        + WRITER.announce(0, 4)
        + b"none"
        + WRITER.leave(3, 1)
        + b"three\n"
        + WRITER.leave(4, 2)
        + WRITER.announce(1, 4)
        + b"late"
        + b"after\n"
    )
    assert parse([stream])[0] == [
        Segment(b"before\n", (), True),
        TasksChanged(1, ("a",)),
        Segment(b"one\n", ("a",), True),
        TasksChanged(2, ("a", "b/ü \n")),
        Segment(b"two\n", ("a", "b/ü \n"), True),
        Segment(b"python", ("b/ü \n",), False),
        Segment(b"none", (), False),
        TasksChanged(3, ("b/ü \n",)),
        Segment(b"three\n", ("b/ü \n",), True),
        TasksChanged(4, ()),
        Segment(b"late", (), False),
        Segment(b"after\n", (), True),
    ]


@pytest.mark.parametrize("forged", [OTHER, "A" * 21 + "B", "a" * 22])
def test_a_marker_with_another_token_is_text(forged: str) -> None:
    stream = WRITER.enter(1, 1, "a") + MarkerWriter(forged).leave(2, 1) + b"still a's\n"
    found, serial = parse([stream])
    assert serial == 1
    assert found[1:] == [Segment(MarkerWriter(forged).leave(2, 1) + b"still a's\n", ("a",), True)]


def test_every_marker_fits_into_one_write_of_macos() -> None:
    longest = WRITER.enter(10**17, 10**17, "x" * 384)
    assert 0 < len(longest) <= MAX_MARKER_BYTES < 512
    assert WRITER.enter(1, 1, "x" * 385) == b""


def test_tokens_are_fresh_and_a_short_one_is_refused() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    with pytest.raises(ValueError, match="22"):
        MarkerParser("short")


def test_text_without_a_marker_byte_costs_nearly_nothing() -> None:
    parser, block = MarkerParser(TOKEN), b"noise " * 11_000
    parser.feed(WRITER.enter(1, 1, "a"))
    started, size = time.process_time(), 0
    while size < 64 * 1024 * 1024:
        assert parser.feed(block)[0] == Segment(block, ("a",), True)
        size += len(block)
    assert size / (time.process_time() - started) > 200e6


line_text = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"\xc3\xa9", b"x" * 70]), max_size=20)


@settings(deadline=None)
@given(line_text.map(b"".join), st.lists(st.integers(0, 10_000), max_size=8))
def test_lines_do_not_depend_on_chunking_and_lose_nothing(text: bytes, cuts: list[int]) -> None:
    joiner = LineJoiner(64)
    lines = [line for piece in in_pieces(text, cuts) for line in joiner.feed(piece)] + joiner.finish()
    assert b"".join(lines) == text.replace(b"\n", b"").replace(b"\r", b"")
    assert all(len(line) <= 64 for line in lines)
    assert joiner.is_empty


def test_lines_end_as_they_do_on_a_terminal() -> None:
    joiner = LineJoiner()
    assert joiner.feed(b"one\ntwo\r\n\nthr") == [b"one", b"two", b""]
    assert joiner.feed(b"ee\r10%\r2") == [b"three", b"10%"]
    assert joiner.feed(b"0%\r") == []
    assert joiner.feed(b"\n") == [b"20%"]
    assert joiner.finish() == []
