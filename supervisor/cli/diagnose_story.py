"""What `ringwarden diagnose` tells a person: the cause, what to do, and the lines that show it."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from diagnostics.causes import CAUSES
from diagnostics.evidence import Diagnostic, ExitStatus
from diagnostics.incident import Verdict
from diagnostics.launcher_log import LogReport
from diagnostics.log_diagnosis import LogDiagnosis, RootCause
from supervisor.cli.cause_pages import cause_page
from supervisor.cli.diagnose_inputs import RankInput
from supervisor.cli.terminal import shown

LINES_BEFORE, LINES_AFTER = 4, 3
MAX_OTHERS_SHOWN = 6
MAX_LINE_CHARACTERS = 240


def log_story(diagnosis: LogDiagnosis, log: LogReport, exit_status: ExitStatus | None) -> RenderableType:
    """Return what one log says."""
    root = diagnosis.root_cause
    if root is None:
        return Group(*_nothing_found(diagnosis, log, exit_status))
    facts = _facts()
    facts.add_row("cause", shown(f"{root.kind} ({CAUSES[root.kind].title}), {root.confidence}"))
    facts.add_row("what to do", shown(root.advice))
    _add_evidence(facts, root)
    _add_rows(facts, "also seen", _others(diagnosis.diagnostics, root))
    facts.add_row("read more", shown(cause_page(root.kind)))
    return Group(shown(_sentence(root), "bold red"), Text(), facts)


def group_story(
    verdict: Verdict | None, ranks: Mapping[int, LogDiagnosis], inputs: Mapping[int, RankInput]
) -> RenderableType:
    """Return the verdict over a group, then a line for each rank, then the lines that show the cause."""
    facts = _facts()
    named = None if verdict is None or verdict.rank is None else ranks.get(verdict.rank)
    if verdict is not None:
        facts.add_row("cause", shown(f"{verdict.kind} ({CAUSES[verdict.kind].title}), {verdict.confidence}"))
        facts.add_row("what to do", shown(verdict.advice))
    for position, rank in enumerate(sorted(ranks)):
        line = _rank_line(rank, ranks[rank], inputs[rank], verdict)
        facts.add_row("" if position else "ranks", line)
    if named is not None and named.root_cause is not None:
        _add_evidence(facts, named.root_cause)
    if verdict is None:
        return Group(shown("Nothing is wrong with this group, as far as these logs tell."), Text(), facts)
    facts.add_row("read more", shown(cause_page(verdict.kind)))
    return Group(shown(verdict.sentence, "bold red"), Text(), facts)


def _facts() -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    return facts


def _sentence(root: RootCause) -> str:
    return f"{root.subject or 'The process'} {root.message.rstrip('. ')}."


def _nothing_found(diagnosis: LogDiagnosis, log: LogReport, exit_status: ExitStatus | None) -> Iterator[Text]:
    lines = log.whole.total_lines
    yield shown(
        "The log is empty." if not log.whole.total_bytes else f"No cause was found in {_counted(lines, 'line')}."
    )
    for line in _others(diagnosis.diagnostics, None):
        yield shown("  seen: ").append_text(line)
    if exit_status is None:
        yield shown("If you know how the process ended, say it: --exit-status 137, for example.", "dim")


def _add_evidence(facts: Table, root: RootCause) -> None:
    lines = list(_evidence(root))
    if lines and root.line is not None:
        facts.add_row("evidence", shown(f"line {root.line + 1} (counted from 1, as editors do)", "dim"))
        _add_rows(facts, "", lines)
    else:
        _add_rows(facts, "evidence", lines or [shown("the exit status; the log does not say more", "dim")])


def _add_rows(facts: Table, title: str, rows: Sequence[Text]) -> None:
    for position, row in enumerate(rows):
        facts.add_row("" if position else title, row)


def _evidence(root: RootCause) -> Iterator[Text]:
    """Yield the lines around the decisive one, which stands out; without one, the end of the log."""
    if root.line is None or root.line not in root.evidence_lines:
        yield from (shown("  " + _cut(line), "dim") for line in root.evidence[-LINES_BEFORE:])
        return
    at = max(place for place, line in enumerate(root.evidence_lines) if line == root.line)
    first, end = max(0, at - LINES_BEFORE), at + LINES_AFTER + 1
    numbers, texts = root.evidence_lines[first:end], root.evidence[first:end]
    width = len(str(max(numbers) + 1))
    for place, (number, text) in enumerate(zip(numbers, texts, strict=True), first):
        marked = place == at
        margin = f"{'>' if marked else ' '} {number + 1:>{width}}  "
        yield shown(margin, "bold yellow" if marked else "dim").append_text(
            shown(_cut(text), "bold yellow" if marked else "")
        )


def _others(diagnostics: Sequence[Diagnostic], root: RootCause | None) -> list[Text]:
    others = [one for one in diagnostics if root is None or (one.kind, one.line) != (root.kind, root.line)]
    rows = [shown(_other(one)) for one in others[:MAX_OTHERS_SHOWN]]
    if len(others) > MAX_OTHERS_SHOWN:
        rows.append(shown(f"and {len(others) - MAX_OTHERS_SHOWN} more (--json shows all)", "dim"))
    return rows


def _other(one: Diagnostic) -> str:
    times = f", {one.count} times" if one.count > 1 else ""
    return _cut(f"{one.kind}, line {one.line + 1}{times}: {one.message}")


def _rank_line(rank: int, diagnosis: LogDiagnosis, source: RankInput, verdict: Verdict | None) -> Text:
    root = diagnosis.root_cause
    ended = _end(source)
    is_cause = verdict is not None and verdict.rank == rank
    suspected = verdict is not None and verdict.rank is None and rank in verdict.suspects
    role = "the cause" if is_cause else "a suspect" if suspected else ""
    place = "" if root is None or root.line is None else f", line {root.line + 1}"
    told = "nothing in its log explains more" if root is None else f"{root.kind}{place}: {root.message}"
    words = "; ".join(part for part in (role, ended, told) if part)
    return shown(_cut(f"{rank}  {words}"), "red" if is_cause else "")


def _end(source: RankInput) -> str:
    if source.alive:
        return "had not ended"
    status = source.exit_status
    if status is None:
        return ""
    return f"exit code {status.code}" if status.signal is None else f"signal {status.signal}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARACTERS else text[: MAX_LINE_CHARACTERS - 1] + "\u2026"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
