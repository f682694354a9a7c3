"""Kept output: all of it, or its two ends and an honest count."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.process.kept_output import KeptOutput


@given(st.lists(st.binary(max_size=50)), st.integers(2, 60))
def test_the_ends_are_kept_and_the_rest_is_counted(chunks: list[bytes], limit: int) -> None:
    output, whole = KeptOutput(limit), b"".join(chunks)
    for chunk in chunks:
        output.feed(chunk)
    dropped = max(0, len(whole) - limit)
    assert output.dropped_bytes == dropped
    if not dropped:
        assert output.value() == whole
        return
    head, tail = re.split(b"\n\\[%d bytes left out\\]\n" % dropped, output.value(), maxsplit=1)
    assert len(head) + len(tail) == limit
    assert whole.startswith(head)
    assert whole.endswith(tail)


def test_memory_is_bounded() -> None:
    output = KeptOutput(1000)
    for _ in range(10_000):
        output.feed(b"x" * 100)
    assert len(output._head) + len(output._tail) <= 2000


def test_a_limit_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        KeptOutput(1)
