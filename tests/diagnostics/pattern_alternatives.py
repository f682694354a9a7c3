"""The alternatives of a regular expression, one left out at a time."""

import re
from collections.abc import Iterator
from itertools import pairwise

_OPENING = re.compile(r"\((?:\?(?:P<\w+>|[:=!]|<[=!]|[aiLmsux]+:))?")


def without_one_alternative(pattern: str) -> Iterator[tuple[str, str]]:
    """Each alternative of each group of `pattern`, and the pattern without it.

    Understands what the catalogue uses: groups, escapes and character classes; no verbose patterns, no comments.
    """
    for start, bars, end in _choices(pattern):
        edges = [start - 1, *bars, end]
        for number, (left, right) in enumerate(pairwise(edges)):
            cut = (left + 1, right + 1) if number == 0 else (left, right)
            yield pattern[left + 1 : right], pattern[: cut[0]] + pattern[cut[1] :]


def _choices(pattern: str) -> Iterator[tuple[int, list[int], int]]:
    """Start, positions of the bars, and end of the inside of every group that has more than one alternative."""
    groups: list[tuple[int, list[int]]] = [(0, [])]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "[":
            position = _end_of_class(pattern, position)
        elif opening := _OPENING.match(pattern, position):
            groups.append((opening.end(), []))
            position = opening.end() - 1
        elif character == ")":
            start, bars = groups.pop()
            if bars:
                yield start, bars, position
        elif character == "|":
            groups[-1][1].append(position)
        position += 1
    start, bars = groups.pop()
    if bars:
        yield start, bars, len(pattern)


def _end_of_class(pattern: str, position: int) -> int:
    position += 2 if pattern.startswith("[^", position) else 1
    position += pattern.startswith("]", position)
    while pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return position
