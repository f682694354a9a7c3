"""The findings of one stream: each kind once, counted, with the lines around its first occurrence."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from diagnostics.evidence import Diagnostic
from diagnostics.recogniser import Finding
from diagnostics.text import clean

MAX_TEXT_CHARACTERS = 1000


@dataclass(slots=True)
class _Row:
    finding: Finding
    before: tuple[tuple[int, str], ...]
    after: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    count: int = 1
    last_index: int = 0

    @property
    def weight(self) -> int:
        return 0 if self.finding.handled else self.finding.signature.strength

    def precedes(self, other: "_Row") -> bool:
        """Whether this one is kept of two occurrences: the first failure, and the last one that was handled."""
        mine, others = self.finding.index, other.finding.index
        return mine > others if self.finding.handled else mine < others

    def diagnostic(self) -> Diagnostic:
        finding, signature = self.finding, self.finding.signature
        text = finding.text[:MAX_TEXT_CHARACTERS]
        around = (*self.before, (finding.index, text), *self.after)
        return Diagnostic(
            kind=signature.cause,
            line=finding.index,
            count=self.count,
            message=finding.message,
            text=text,
            evidence=tuple(line for _, line in around),
            signature_id=signature.id,
            fatal=signature.fatal and not finding.handled,
            symptom=signature.symptom,
            evidence_lines=tuple(index for index, _ in around),
            handled=finding.handled,
        )


class FindingTable:
    """Bounded: at most `max_rows` different findings, each with at most `evidence_lines` lines before and after.

    When it is full, a new finding takes the place of the weakest latest one, if it is stronger. Of what was handled,
    the last occurrence is kept, because the process may have ended there after all.
    """

    def __init__(self, evidence_lines: int, max_rows: int) -> None:
        self._evidence_lines = evidence_lines
        self._max_rows = max_rows
        self._rows: dict[str, _Row] = {}
        self._open: list[_Row] = []

    @property
    def idle(self) -> bool:
        """Whether no finding waits for the lines after it."""
        return not self._open

    def note_line(self, index: int, text: str) -> None:
        """A line that came after the open findings."""
        for row in self._open:
            row.after.append((index, clean(text)[:MAX_TEXT_CHARACTERS]))
        self._open = [row for row in self._open if len(row.after) < self._evidence_lines]

    def add(
        self, finding: Finding, before: Iterable[tuple[int, str]], after: Iterable[tuple[int, str]] = ()
    ) -> Diagnostic | None:
        """Record a finding with the numbered lines around it; return its diagnostic when it is a new one."""
        key = _key(finding)
        known = self._rows.get(key)
        if known is not None and finding.handled and finding.index > known.last_index:
            self._forget(key)
        elif known is not None:
            if known.last_index != finding.index:
                known.count += 1
                known.last_index = finding.index
            return None
        if len(self._rows) >= self._max_rows and not self._make_room(finding):
            return None
        clipped = tuple((index, line[:MAX_TEXT_CHARACTERS]) for index, line in before)
        row = _Row(finding, clipped[max(0, len(clipped) - self._evidence_lines) :], last_index=finding.index)
        row.count += 0 if known is None else known.count
        row.after.extend((index, line[:MAX_TEXT_CHARACTERS]) for index, line in after)
        self._rows[key] = row
        if len(row.after) < self._evidence_lines:
            self._open.append(row)
        return row.diagnostic()

    def _make_room(self, finding: Finding) -> bool:
        weakest = min(self._rows.values(), key=lambda row: (row.weight, -row.finding.index))
        if weakest.weight >= _Row(finding, ()).weight:
            return False
        self._forget(_key(weakest.finding))
        return True

    def _forget(self, key: str) -> None:
        gone = self._rows.pop(key)
        self._open = [row for row in self._open if row is not gone]

    def merged_with(self, other: "FindingTable") -> tuple[Diagnostic, ...]:
        """Both tables' diagnostics by line. `other` looked closer at some of the same lines: it adds, and refines."""
        rows = dict(self._rows)
        for key, row in other._rows.items():
            mine = rows.get(key)
            if mine is None:
                rows[key] = row
            elif row.precedes(mine):
                row.count = max(row.count, mine.count)
                rows[key] = row
        strongest: dict[int, int] = {}
        for row in rows.values():
            index = row.finding.index
            strongest[index] = max(strongest.get(index, 0), row.weight)
        kept = [row for row in rows.values() if row.weight == strongest[row.finding.index]]
        kept.sort(key=lambda row: (row.finding.index, row.finding.key))
        return tuple(row.diagnostic() for row in kept[: self._max_rows])


def _key(finding: Finding) -> str:
    return f"handled {finding.key}" if finding.handled else finding.key
