"""Finding the best signature for one text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from diagnostics.dull_lines import keywords_with_digits
from diagnostics.errno_tables import describe_errno
from diagnostics.evidence import OperatingSystem
from diagnostics.signature import Signature
from diagnostics.signatures import CATALOGUE
from diagnostics.text import (
    Level,
    is_glued,
    is_prose,
    is_quoted,
    level_before,
    tells_of_recovery,
    warns_of_crash,
    was_retried,
)


@dataclass(frozen=True, slots=True)
class _Row:
    order: int
    signature: Signature
    pattern: re.Pattern[str]
    context: re.Pattern[str] | None


def _by_keyword(catalogue: Iterable[Signature]) -> dict[str, list[_Row]]:
    rows: dict[str, list[_Row]] = {}
    for order, one in enumerate(catalogue):
        context = re.compile(one.context) if one.context else None
        rows.setdefault(one.keyword, []).append(_Row(order, one, re.compile(one.pattern), context))
    return rows


_SOURCE_CODE = re.compile(
    r"^\s+(?:raise|except|return|from|import|assert|if|msg ?=)\b|^\s*File \""
    r"|^(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,40} [A-Z]|\b(?:XFAIL|PASSED|SKIPPED)\b"
)
"""Lines that show code, one of git's commits, or a test that went as expected."""
_MAX_GROUP_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Match:
    """A signature found in a text, from `start` to `end`."""

    signature: Signature
    start: int
    end: int
    groups: dict[str, str]

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Sorts matches of one text: lower is better."""
        return -self.signature.strength, self.signature.fallback, self.start


class Matcher:
    """Searches texts for the signatures of one catalogue.

    Args:
        catalogue: Earlier rows win when two match at the same place.
    """

    def __init__(self, catalogue: Iterable[Signature]) -> None:
        rows = tuple(catalogue)
        self._rows = _by_keyword(rows)
        self.numbered_keywords = keywords_with_digits(rows)

    def find(self, text: str, context: str = "") -> list[Match]:
        """Every signature that is found in `text`, in catalogue order. `context` is what raised it."""
        rows = [row for keyword in self._rows if keyword in text for row in self._rows[keyword]]
        matches: list[Match] = []
        for row in sorted(rows, key=lambda row: row.order):
            if row.context is not None and not row.context.search(context):
                continue
            found = row.pattern.search(text)
            if found is not None:
                groups = {name: value or "" for name, value in found.groupdict().items()}
                matches.append(Match(row.signature, found.start(), found.end(), groups))
        return matches

    def best_raised(self, text: str, context: str) -> Match | None:
        """The best signature for the text of an exception."""
        return min(self.find(text, context), key=lambda match: match.rank, default=None)

    def best_printed(self, text: str) -> Match | None:
        """The best signature for a printed line, leaving out what it only quotes or reports as harmless."""
        return min(
            (match for match in self.find(text) if _is_meant(match, text)), key=lambda match: match.rank, default=None
        )

    def best_wrapped(self, first: str, second: str) -> Match | None:
        """The best signature for a message that was wrapped from one line into the next; it must span both."""
        left, right = first.rstrip(), second.lstrip()
        best: Match | None = None
        for joint in (" ", ""):
            text = left + joint + right
            for match in self.find(text):
                spans = match.start < len(left) and match.end > len(left) + len(joint)
                if spans and _is_meant(match, text) and (best is None or match.rank < best.rank):
                    best = match
        return best


def _is_meant(match: Match, text: str) -> bool:
    row = match.signature
    if is_quoted(text, match.start) or _SOURCE_CODE.search(text, 0, match.start) or is_prose(text, match.start):
        return False
    if level_before(text, match.start) is Level.BENIGN and not row.any_level:
        return (row.native and is_glued(text, match.start)) or warns_of_crash(text[: match.start])
    return not (was_retried(text) if row.native else tells_of_recovery(text))


def message_of(match: Match, operating_system: OperatingSystem) -> str:
    """The signature's sentence with the facts of this match filled in."""
    values = {name: value[:_MAX_GROUP_CHARACTERS] or "?" for name, value in match.groups.items()}
    number = match.groups.get("errno", "")
    if number.isdecimal() and len(number) < 10:
        values["errno"] = describe_errno(int(number), operating_system)
    return match.signature.message.format_map(values)


WHOLE_CATALOGUE = Matcher(CATALOGUE)
"""What every stream is read with."""
