"""Cutting lines: whatever the chunks are, the lines are the same and no byte is missing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from supervisor.process.line_cutter import LineCutter

TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", "ä€😀".encode()]), max_size=40).map(b"".join)


def cut(cutter: LineCutter, *chunks: bytes) -> list[bytes]:
    out = b"".join(cutter.feed(chunk) for chunk in chunks) + cutter.finish()
    return out.splitlines() if b"\r" not in out else [b"a CR came through"]


@given(TEXT, st.lists(st.integers(0, 60), max_size=8))
def test_lines_do_not_depend_on_the_chunks(text: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert cut(LineCutter(), *chunks) == cut(LineCutter(), text)


@given(TEXT)
def test_nothing_but_line_ends_is_lost(text: bytes) -> None:
    assert b"".join(cut(LineCutter(), text)) == text.replace(b"\r", b"").replace(b"\n", b"")


def test_a_progress_bar_shows_its_states() -> None:
    assert cut(LineCutter(), b"\r 10%", b"\r 20%\r", b"\r\nerror\r\n") == [b" 10%", b" 20%", b"error"]


def test_empty_lines_stay() -> None:
    assert cut(LineCutter(), b"a\n\n\nb") == [b"a", b"", b"", b"b"]


def test_a_line_given_out_early_goes_on_in_a_line_of_its_own() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"Password: ") == b""
    assert cutter.has_pending
    assert cutter.flush() == b"Password: \n"
    assert cutter.flush() == b""
    assert cutter.feed(b"\nnext\n") == b"next\n"
    assert cutter.feed(b"x") + cutter.flush() + cutter.feed(b"yz\n") == b"x\nyz\n"


@given(st.lists(st.binary(max_size=300).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b""))))
def test_a_line_without_an_end_comes_in_pieces(chunks: list[bytes]) -> None:
    cutter, out = LineCutter(max_line_bytes=100), b""
    for chunk in chunks:
        out += cutter.feed(chunk)
        assert len(cutter._pending) < 100
    assert (out + cutter.finish()).replace(b"\n", b"") == b"".join(chunks)


def test_a_character_is_not_torn() -> None:
    cutter, text = LineCutter(max_line_bytes=100), "€" * 1000
    raw = text.encode()
    out = b"".join(cutter.feed(raw[start : start + 7]) for start in range(0, len(raw), 7)) + cutter.finish()
    assert out.decode().replace("\n", "") == text
