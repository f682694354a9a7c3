"""Finds any of several strings in text that arrives in pieces: what is there, and what may still become one. Pure."""

from collections.abc import Iterable


def first_to_end(text: str, wanted: Iterable[str]) -> tuple[int, str] | None:
    """Return where the string begins that ends first, and which it is; of two with the same end, the longer.

    The result does not depend on how the text was cut, since what ends first was there first.
    """
    found = [(start + len(one), start, one) for one in wanted if (start := text.find(one)) >= 0]
    if not found:
        return None
    _, start, one = min(found)
    return start, one


def unfinished(text: str, wanted: Iterable[str]) -> int:
    """Return the length of the longest end of `text` that begins one of the strings."""
    return max((_overlap(text, one) for one in wanted), default=0)


def _overlap(text: str, one: str) -> int:
    for length in range(min(len(text), len(one) - 1), 0, -1):
        if text.endswith(one[:length]):
            return length
    return 0
