"""Lines that meant nothing, remembered by their shape, so that a flood of their kind costs little."""

import re
from collections.abc import Iterable

from diagnostics.signature import Signature

_ZEROS = str.maketrans("123456789", "000000000")
_NOT_LITERAL = re.compile(r"\\d|\\\d|\{\d*,?\d*\}|\(\?P?<[^>]*>|\(0\*")
_STRUCTURED = ("{", "&", "\x1b", "level=")
"""Beginnings of what is decoded before it is read: such a line is not the sum of its characters."""
_MAX_CHARACTERS = 400
_MAX_SHAPES = 512


def shape_of(text: str) -> str:
    """`text` with every digit made the same. What a signature says of it does not change, unless it names digits."""
    return text.translate(_ZEROS)


def keywords_with_digits(catalogue: Iterable[Signature]) -> tuple[str, ...]:
    """Keywords of the signatures that tell one number from another."""
    named = (row for row in catalogue if re.search(r"\d", _NOT_LITERAL.sub("", row.pattern) + row.keyword))
    return tuple(dict.fromkeys(row.keyword for row in named))


class DullLines:
    """Pairs of a line and the one before it that were read in full and gave nothing: at most 512, of 800 characters.

    Args:
        numbered: Keywords of the signatures for which digits matter; lines that have one are always read in full.
    """

    def __init__(self, numbered: tuple[str, ...]) -> None:
        self._numbered = numbered
        self._pairs: set[tuple[str, str]] = set()
        self._last = ("", "")

    def _shape(self, text: str) -> str:
        if self._last[0] != text:
            self._last = (text, shape_of(text))
        return self._last[1]

    def has(self, previous: str, text: str) -> bool:
        """Whether a pair of this shape is known to give nothing."""
        return (self._shape(previous), self._shape(text)) in self._pairs

    def add(self, previous: str, text: str) -> None:
        """Remember a pair that gave nothing, where its shape says everything about it."""
        both = f"{previous}\n{text}"
        if len(both) > 2 * _MAX_CHARACTERS or any(mark in both for mark in _STRUCTURED):
            return
        for joined in (f"{previous.rstrip()}{text.lstrip()}", f"{previous.rstrip()} {text.lstrip()}"):
            if any(keyword in joined for keyword in self._numbered):
                return
        if len(self._pairs) >= _MAX_SHAPES:
            self._pairs.clear()
        self._pairs.add((shape_of(previous), shape_of(text)))
