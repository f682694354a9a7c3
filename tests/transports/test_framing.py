"""Frames survive any chunking, and nothing above the cap is ever held."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.framing import FrameDecoder, FrameViolation, encode_frame

CAP = 64
PAYLOADS = st.lists(st.binary(min_size=1, max_size=CAP), max_size=10)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces, some of them empty."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def read_until_violation(decoder: FrameDecoder, pieces: list[bytes]) -> tuple[list[bytes], bool]:
    payloads: list[bytes] = []
    for piece in pieces:
        try:
            for payload in decoder.feed(piece):
                payloads.append(payload)
        except FrameViolation:
            return payloads, True
    return payloads, False


@given(PAYLOADS, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_chunking_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    decoder = FrameDecoder(CAP)
    data = b"".join(encode_frame(payload, CAP) for payload in payloads)
    assert read_until_violation(decoder, chunked(data, cuts)) == (payloads, False)
    assert decoder.pending_bytes == 0


@given(PAYLOADS, st.lists(st.integers(0, 10_000), max_size=20), st.sampled_from([0, CAP + 1, 2**31, 2**32 - 1]))
def test_frames_before_a_bad_length_are_delivered(payloads: list[bytes], cuts: list[int], length: int) -> None:
    decoder = FrameDecoder(CAP)
    data = b"".join(encode_frame(payload, CAP) for payload in payloads) + struct.pack(">I", length) + b"rest"
    assert read_until_violation(decoder, chunked(data, cuts)) == (payloads, True)
    with pytest.raises(FrameViolation):
        list(decoder.feed(b""))


@given(PAYLOADS, st.binary(min_size=1, max_size=CAP), st.integers(1, CAP + 3))
def test_an_incomplete_frame_at_the_end_is_seen(payloads: list[bytes], last: bytes, missing: int) -> None:
    decoder = FrameDecoder(CAP)
    frame = encode_frame(last, CAP)
    rest = frame[: max(1, len(frame) - missing)]
    data = b"".join(encode_frame(payload, CAP) for payload in payloads) + rest
    assert list(decoder.feed(data)) == payloads
    assert decoder.pending_bytes == len(rest)


@given(st.binary(max_size=400), st.lists(st.integers(0, 10_000), max_size=20))
def test_any_bytes_are_frames_or_a_violation_and_memory_is_bounded(data: bytes, cuts: list[int]) -> None:
    whole = read_until_violation(FrameDecoder(CAP), [data])
    decoder = FrameDecoder(CAP)
    assert read_until_violation(decoder, chunked(data, cuts)) == whole
    if not whole[1]:
        assert decoder.pending_bytes < CAP + 4


def test_an_iterator_that_is_dropped_loses_nothing() -> None:
    decoder = FrameDecoder(CAP)
    payloads = decoder.feed(encode_frame(b"a", CAP) + encode_frame(b"b", CAP))
    assert next(payloads) == b"a"
    del payloads
    assert list(decoder.feed(b"")) == [b"b"]


@pytest.mark.parametrize("size", [0, CAP + 1])
def test_encoding_keeps_the_cap(size: int) -> None:
    with pytest.raises(FrameViolation, match=f"frame of {size} bytes; a frame has 1 to {CAP} bytes"):
        encode_frame(b"x" * size, CAP)
