"""Cutting bytes into chunks, for properties."""

from itertools import pairwise

from hypothesis import strategies as st


@st.composite
def chunkings(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """Some bytes and one way to cut them."""
    whole = draw(data)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    edges = [0, *cuts, len(whole)]
    return whole, [whole[start:end] for start, end in pairwise(edges)]
