"""What the lines after a finding say of it: that it was only quoted, or that somebody handled it and went on."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from diagnostics.recogniser import Finding
from diagnostics.text import Level, body, clean, level_before

LINES_OF_A_QUOTATION = 40
"""How far a code fence reaches, in lines: one that does not close by then was none."""

_FENCE = re.compile(r"^\s*```(?P<language>\w*)\s*$")
_WENT_ON = re.compile(
    r"\b(?:retrying|trying again|attempt \d+ ?(?:of|/) ?\d+|falling back|skipping|ignoring|continuing|going on)\b",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"\b(?:exit(?:ed|ing|s)?|died|dead|crash\w*|kill\w*|abort\w*|terminat\w*|shut\w* down|stopp\w+|restart\w*|giving up"
    r"|gave up|Traceback|Node with rank \d)\b|Warning: ",
    re.IGNORECASE,
)
"""Words of an end, also of somebody else's; and Python's warnings, which a process still prints while it goes down."""
_LINK = re.compile(r"^(?:The above exception was the direct cause|During handling of the above exception)")
_MAX_WAITING = 16
_MAX_REMEMBERED = 128


class Hindsight:
    """Holds back findings that the next lines may take back. Memory is bounded; what is fatal is never held back,
    except inside a code fence and, unless C++ or the system wrote it, behind a warning that announced it.
    """

    def __init__(self) -> None:
        self._waiting: list[Finding] = []
        self._quoted: list[Finding] = []
        self.dismissed: deque[int] = deque(maxlen=_MAX_REMEMBERED)
        """Lines whose findings were taken back, or are no failures."""

    @property
    def idle(self) -> bool:
        """Whether nothing is held back."""
        return not self._waiting and not self._quoted

    @property
    def pending(self) -> list[Finding]:
        """What is held back, as it counts if nothing more is written."""
        return [*self._waiting, *self._quoted]

    def judge(
        self,
        index: int,
        raw_text: str,
        findings: list[Finding],
        lines_before: Callable[[int], Iterable[tuple[int, str]]],
        *,
        in_traceback: bool,
    ) -> list[Finding]:
        """Take a line and what was found in it; return the findings that are settled now.

        Args:
            index: Number of the line.
            raw_text: As it was written.
            findings: What the recogniser made of it.
            lines_before: Gives the numbered lines in front of a line.
            in_traceback: Whether the line belongs to a traceback, so that it says nothing about the one before.
        """
        text = body(clean(raw_text))
        settled = self._end_of_quotation(index, text)
        if not findings and not in_traceback and text.strip() and not _LINK.match(text):
            settled += self._what_came_after(text)
        for finding in findings:
            settled += self._new(finding, lines_before)
        self.dismissed.extend(finding.index for finding in settled if finding.handled)
        return settled

    def _end_of_quotation(self, index: int, text: str) -> list[Finding]:
        quoted = self._quoted
        if quoted and _FENCE.match(text):
            self.dismissed.extend(finding.index for finding in quoted)
            self._quoted = []
        elif quoted and (index - quoted[0].index > LINES_OF_A_QUOTATION or len(quoted) > _MAX_WAITING):
            self._quoted = []
            return quoted
        return []

    def _what_came_after(self, text: str) -> list[Finding]:
        waiting, self._waiting = self._waiting, []
        level = level_before(text, len(text))
        if not waiting or _ENDED.search(text) or level is Level.ERROR:
            return waiting
        went_on = _WENT_ON.search(text) is not None
        works = level is Level.BENIGN
        return [replace(one, handled=True) if went_on or (works and one.announced) else one for one in waiting]

    def _new(self, finding: Finding, lines_before: Callable[[int], Iterable[tuple[int, str]]]) -> list[Finding]:
        if finding.handled:
            return [finding]
        if _inside_fence(lines_before(finding.index)):
            self._quoted.append(finding)
            return []
        never_handled = finding.signature.native and finding.signature.fatal
        if (finding.announced and not never_handled) or (finding.raised and not finding.signature.fatal):
            self._waiting.append(finding)
            return [self._waiting.pop(0)] if len(self._waiting) > _MAX_WAITING else []
        return [finding]


def _inside_fence(lines_before: Iterable[tuple[int, str]]) -> bool:
    """Whether a fence was opened by what stands before. A log that begins with a fence was pasted, not quoted."""
    lines = [(index, body(clean(text)).rstrip()) for index, text in lines_before]
    for place in range(len(lines) - 1, -1, -1):
        index, text = lines[place]
        found = _FENCE.match(text) if "```" in text else None
        if found is not None:
            before = next((text for _, text in reversed(lines[:place]) if text), "")
            return index > 0 and (bool(found["language"]) or before.endswith(":"))
    return False
