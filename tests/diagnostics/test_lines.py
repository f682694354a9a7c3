import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.lines import Line, LineSplitter
from tests.diagnostics.chunking import chunkings


def split(*chunks: bytes, max_line_bytes: int = 1024) -> list[Line]:
    splitter = LineSplitter(max_line_bytes)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


def texts(*chunks: bytes) -> list[tuple[int, str]]:
    return [(line.index, line.text) for line in split(*chunks)]


def test_lf_ends_a_line_and_the_partial_last_one_counts() -> None:
    assert texts(b"one\ntw", b"o\nthree") == [(0, "one"), (1, "two"), (2, "three")]


def test_empty_lines_are_numbered_but_not_returned() -> None:
    assert texts(b"\n\na\n\nb\n") == [(2, "a"), (4, "b")]


def test_cr_separates_segments_of_one_line() -> None:
    assert texts(b"0%\r50%\r100%[ring] lost\nnext\r\nlast") == [
        (0, "0%"),
        (0, "50%"),
        (0, "100%[ring] lost"),
        (1, "next"),
        (2, "last"),
    ]


def test_a_segment_is_returned_at_its_cr_not_only_at_the_lf() -> None:
    splitter = LineSplitter()
    assert [line.text for line in splitter.feed(b"loading 1/2\rload")] == ["loading 1/2"]


def test_only_lf_and_cr_split() -> None:
    exotic = "a\x0bb\x0cc\x1cd\u0085e\u2028f"
    assert texts(exotic.encode()) == [(0, exotic)]


def test_utf8_across_chunks_and_invalid_bytes() -> None:
    euro = "€".encode()
    assert texts(b"x" + euro[:1], euro[1:] + b"y\n\xff\xfe!") == [(0, "x€y"), (1, "\ufffd\ufffd!")]


def test_an_over_long_line_comes_in_overlapping_pieces_of_one_line() -> None:
    lines = split(b"a" * 90 + b"\nb", max_line_bytes=64)
    assert [(line.index, len(line.text), line.continued) for line in lines] == [
        (0, 64, False),
        (0, 42, True),
        (1, 1, False),
    ]


def test_a_message_across_the_cut_of_an_over_long_line_is_whole_in_one_piece() -> None:
    raw = b"=" * 1010 + b"[ring] Socket 3 was closed by the peer" + b"=" * 500
    assert sum("[ring] Socket 3 was closed by the peer" in line.text for line in split(raw)) == 1


def test_a_limit_below_64_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="max_line_bytes is 3"):
        LineSplitter(3)


@given(chunkings(st.text(alphabet="ab\r\n€", max_size=400).map(str.encode)))
def test_any_chunking_gives_the_same_lines(case: tuple[bytes, list[bytes]]) -> None:
    whole, chunks = case
    assert split(*chunks, max_line_bytes=64) == split(whole, max_line_bytes=64)


@given(chunkings(st.binary(max_size=600)))
def test_any_chunking_of_any_bytes_gives_the_same_lines(case: tuple[bytes, list[bytes]]) -> None:
    whole, chunks = case
    assert split(*chunks, max_line_bytes=64) == split(whole, max_line_bytes=64)


def test_a_flood_without_newline_takes_bounded_memory_and_linear_time() -> None:
    splitter = LineSplitter(16 * 1024)
    chunk = b"x" * 65536
    tracemalloc.start()
    started = time.process_time()
    for _ in range(512):
        splitter.feed(chunk)
    seconds = time.process_time() - started
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1024 * 1024
    assert seconds < 10


def test_one_byte_at_a_time_is_not_quadratic() -> None:
    splitter = LineSplitter(16 * 1024)
    started = time.process_time()
    for _ in range(200_000):
        splitter.feed(b"x")
    assert time.process_time() - started < 10
