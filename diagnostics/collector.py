"""The stderr of one runner, byte for byte in, diagnostics out."""

import re

from diagnostics.evidence import Diagnostic, OperatingSystem, StreamReport
from diagnostics.finding_table import FindingTable
from diagnostics.hindsight import LINES_OF_A_QUOTATION, Hindsight
from diagnostics.lines import DEFAULT_MAX_LINE_BYTES, Block, Line, LineSplitter
from diagnostics.matcher import WHOLE_CATALOGUE, Matcher
from diagnostics.recent_lines import RecentLines
from diagnostics.recogniser import Finding, Recogniser
from diagnostics.root_cause import root_cause
from diagnostics.text import clean

HINTS = (b"rror", b"ailed", b"aceback (", b"by the peer")
"""Bytes without which a line in the middle of a stream is not looked at: a search for four short strings keeps up with
a flood, one for every keyword does not. Messages that have none of them end a process, so they stand in its last
lines, and those are all looked at when a report is made."""

_HINTED = re.compile("|".join(re.escape(hint.decode()) for hint in HINTS))
CLOSE_LOOK_LINES = 64
"""How many lines at the end of a stream are looked at without a hint."""


class DiagnosticCollector:
    """Recognises known failures in a stream, in bounded memory and independent of how its bytes were chunked.

    It never raises on what it reads. Not thread-safe; called by the owner of one runner; never blocks.

    Args:
        operating_system: The system that writes the stream.
        max_line_bytes: Longer lines are read in pieces of this size.
        evidence_lines: Lines kept before and after each diagnostic, and half the length of the tail in a report.
        max_diagnostics: Different diagnostics that are kept; later weaker ones are dropped.
        matcher: The catalogue that the stream is read with.
    """

    def __init__(
        self,
        operating_system: OperatingSystem,
        *,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        evidence_lines: int = 8,
        max_diagnostics: int = 32,
        matcher: Matcher = WHOLE_CATALOGUE,
    ) -> None:
        self._system = operating_system
        self._matcher = matcher
        self._evidence_lines = evidence_lines
        self._max_diagnostics = max_diagnostics
        self._splitter = LineSplitter(max_line_bytes)
        self._recogniser = Recogniser(operating_system, matcher)
        self._hindsight = Hindsight()
        self._table = FindingTable(evidence_lines, max_diagnostics)
        self._recent = RecentLines(max(CLOSE_LOOK_LINES, 2 * evidence_lines), max_line_bytes)
        self._total_bytes = 0

    def feed(self, data: bytes) -> tuple[Diagnostic, ...]:
        """Take a chunk of any size; return the fatal diagnostics that it was the first to show."""
        self._total_bytes += len(data)
        fresh: list[Diagnostic] = []
        for block in self._splitter.cut(data):
            if self._is_noise(block):
                self._skip(block)
            else:
                for line in self._splitter.split(block):
                    fresh += self._take(line)
        return tuple(diagnostic for diagnostic in fresh if diagnostic.fatal)

    def finish(self) -> StreamReport:
        """The stream has ended. The unfinished last line counts as a line."""
        return self.report(drained=True)

    def report(self, drained: bool) -> StreamReport:
        """What is known now, changing nothing.

        Args:
            drained: Whether the stream was read to its end; goes into the report.
        """
        pending = list(self._splitter.split(self._splitter.pending))
        recent = self._recent.with_lines(pending)
        total_lines = self._splitter.complete_lines + (1 if pending else 0)
        close = self._look_closely(recent.between(total_lines - CLOSE_LOOK_LINES, total_lines))
        diagnostics = self._table.merged_with(close)
        tail = recent.between(total_lines - 2 * self._evidence_lines, total_lines)
        return StreamReport(
            diagnostics=diagnostics,
            root_cause=root_cause(diagnostics),
            tail=tuple(clean(text) for _, text in tail),
            total_lines=total_lines,
            total_bytes=self._total_bytes,
            unclassified_lines=max(0, total_lines - sum(diagnostic.count for diagnostic in diagnostics)),
            drained=drained,
        )

    def _is_noise(self, block: Block) -> bool:
        raw = block.raw
        busy = not (self._recogniser.idle and self._hindsight.idle and self._table.idle)
        if busy or any(hint in raw for hint in HINTS):
            return False
        # The end of an over-long segment belongs to lines already noted: that takes the exact way.
        return not block.repeated_bytes or (b"\n" not in raw and b"\r" not in raw)

    def _skip(self, block: Block) -> None:
        if block.repeated_bytes:
            return
        self._recent.put_raw(block.raw, self._splitter.complete_lines)

    def _take(self, line: Line) -> list[Diagnostic]:
        self._table.note_line(line.index, line.text)
        fresh: list[Diagnostic] = []
        for finding in self._settled(line):
            around = [*self._recent.between(finding.index - self._evidence_lines, line.index), (line.index, line.text)]
            before = [(index, clean(text)) for index, text in around if index < finding.index]
            after = [(index, clean(text)) for index, text in around if index > finding.index]
            diagnostic = self._table.add(finding, before, after[: self._evidence_lines])
            if diagnostic is not None:
                fresh.append(diagnostic)
        self._recent.put(line)
        return fresh

    def _settled(self, line: Line) -> list[Finding]:
        findings: list[Finding] = []
        suspicious = _HINTED.search(line.text) is not None
        in_traceback = self._recogniser.in_traceback
        if suspicious or not self._recogniser.idle:
            previous = self._recent.previous(line.index)
            findings = self._recogniser.examine(line.index, line.text, previous, suspicious=suspicious)
        if not findings and self._hindsight.idle:
            return findings
        in_traceback = in_traceback or self._recogniser.in_traceback
        return self._hindsight.judge(line.index, line.text, findings, self._lines_before, in_traceback=in_traceback)

    def _lines_before(self, index: int) -> list[tuple[int, str]]:
        return self._recent.between(index - LINES_OF_A_QUOTATION, index)

    def _look_closely(self, lines: list[tuple[int, str]]) -> FindingTable:
        """Look at every one of the last lines, whether or not it has a hint."""
        table = FindingTable(self._evidence_lines, self._max_diagnostics)
        recogniser, hindsight = Recogniser(self._system, self._matcher), Hindsight()
        previous = (0, "")
        findings = [*self._hindsight.pending, *self._recogniser.held]

        def lines_before(index: int) -> list[tuple[int, str]]:
            return [one for one in lines if index - LINES_OF_A_QUOTATION <= one[0] < index]

        for index, text in lines:
            in_traceback = recogniser.in_traceback
            found = recogniser.examine(index, text, previous)
            in_traceback = in_traceback or recogniser.in_traceback
            findings += hindsight.judge(index, text, found, lines_before, in_traceback=in_traceback)
            previous = (index, text)
        findings += [*hindsight.pending, *recogniser.flush()]
        for finding in findings:
            if finding.index in self._hindsight.dismissed:
                continue
            before = [(index, clean(text)) for index, text in lines if index < finding.index]
            after = [(index, clean(text)) for index, text in lines if index > finding.index]
            table.add(finding, before, after[: self._evidence_lines])
        return table
