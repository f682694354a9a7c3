"""An incident told on one screen: what happened, why we think so, what to do, and what was done."""

import signal
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from diagnostics.evidence import ExitStatus
from diagnostics.incident import DeathCertificate, Incident
from supervisor.cli.terminal import shown
from supervisor.journal.records import TaskRecord

MAX_EVIDENCE_LINES = 12
MAX_REQUESTS_SHOWN = 8
MAX_REQUESTS_TOLD = 3
MAX_STACK_LINES = 6
# These have one number everywhere; others differ between macOS and Linux, and the runner may have lived on either.
_SHARED_SIGNALS = frozenset({1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15})


def local_time(seconds_since_epoch: float) -> str:
    """Return a moment as this machine's clock on the wall showed it."""
    return datetime.fromtimestamp(seconds_since_epoch).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def incident_table(incidents: tuple[Incident, ...]) -> Table:
    """Return incidents as rows, in the order given."""
    table = Table(
        "incident", "when", "cause", "rank", "recovered", "what", box=None, pad_edge=False, header_style="dim"
    )
    for incident in incidents:
        table.add_row(
            shown(incident.incident_id),
            local_time(incident.occurred_at),
            shown(incident.cause, "red"),
            _rank_text(incident),
            "-" if incident.recovered_after_s is None else f"{incident.recovered_after_s:.1f} s",
            shown(incident.message),
        )
    return table


def incident_story(incident: Incident, tasks: Sequence[TaskRecord] = ()) -> Group:
    """Return the whole story of one incident; `tasks` are those it ended, as far as the journal has them."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("cause", shown(f"{incident.cause}, {incident.confidence}"))
    facts.add_row("what to do", shown(incident.advice))
    facts.add_row("where", shown(_where(incident)))
    for number, certificate in enumerate(incident.certificates):
        facts.add_row("" if number else "ranks", _certificate_line(certificate, incident))
    for number, line in enumerate(_evidence(incident)):
        facts.add_row("" if number else "evidence", line)
    for number, line in enumerate(_stacks(incident)):
        facts.add_row("" if number else "stacks", line)
    facts.add_row("then", shown(_what_followed(incident)))
    facts.add_row("requests", shown(_requests(incident)))
    for task in tasks[:MAX_REQUESTS_TOLD]:
        facts.add_row("", shown(request_text(task), "dim"))
    headline = shown(f"{incident.incident_id}  {local_time(incident.occurred_at)}", "dim")
    return Group(headline, Text(), shown(incident.message, "bold red"), Text(), facts)


def request_text(task: TaskRecord) -> str:
    """Return what the client asked and what it got; never the prompt."""
    facts = [f"{task.task_id}: model {task.model}"]
    if task.prompt_tokens is not None:
        facts.append(_counted(task.prompt_tokens, "prompt token"))
    if task.completion_tokens is not None:
        facts.append(f"{_counted(task.completion_tokens, 'token')} emitted")
    if task.ended_at is not None:
        facts.append(f"after {task.ended_at - task.started_at:.1f} s")
    facts += [f"{name}={value}" for name, value in sorted(task.tags.items())]
    return ", ".join(facts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _stacks(incident: Incident) -> Iterator[Text]:
    """Yield the top of what the rank at fault was doing, if it was asked."""
    root = next((found for found in incident.certificates if found.rank == incident.rank), None)
    lines = root.stacks.splitlines() if root else []
    for line in lines[:MAX_STACK_LINES]:
        yield shown(line, "dim")
    if len(lines) > MAX_STACK_LINES:
        yield shown(f"and {len(lines) - MAX_STACK_LINES} lines more (--json shows all)", "dim")


def _rank_text(incident: Incident) -> str:
    if incident.rank is not None:
        return str(incident.rank)
    return " or ".join(str(suspect) for suspect in incident.suspects) or "?"


def _where(incident: Incident) -> str:
    model = "" if incident.model is None else f", model {incident.model}"
    return f"rank {_rank_text(incident)} on {incident.node}, {incident.phase}, generation {incident.generation}{model}"


def _certificate_line(certificate: DeathCertificate, incident: Incident) -> Text:
    diagnosis = certificate.diagnosis
    is_root = certificate.rank == incident.rank
    role = "the cause" if is_root else "a victim" if diagnosis.peer_loss or incident.rank is not None else "a suspect"
    exited = _exit_text(certificate.exit_status)
    partial = "" if certificate.drained else ", its output was not read to the end"
    place = f"rank {certificate.rank} on {certificate.node}, pid {certificate.pid}"
    return shown(f"{place}: {role}; {diagnosis.cause}, {exited}{partial}", "red" if is_root else "")


def _exit_text(status: ExitStatus | None) -> str:
    if status is None:
        return "still alive when this was written"
    if status.signal is None:
        return f"exit code {status.code}"
    name = f" ({signal.Signals(status.signal).name})" if status.signal in _SHARED_SIGNALS else ""
    return f"signal {status.signal}{name}"


def _evidence(incident: Incident) -> Iterator[Text]:
    """Yield the lines that the cause was read from; the decisive one stands out."""
    root = next((found for found in incident.certificates if found.rank == incident.rank), None)
    lines = incident.evidence or (root.diagnosis.evidence if root else ())
    decisive = root.diagnosis.decisive if root else None
    if not lines:
        yield shown("it wrote nothing that explains its end", "dim")
    for number, line in enumerate(lines[:MAX_EVIDENCE_LINES]):
        marked = number == decisive
        yield shown(("> " if marked else "  ") + line, "bold yellow" if marked else "")
    if len(lines) > MAX_EVIDENCE_LINES:
        yield shown(f"  and {len(lines) - MAX_EVIDENCE_LINES} lines more (--json shows all)", "dim")


def _what_followed(incident: Incident) -> str:
    if incident.recovered_after_s is not None:
        return f"the group started again by itself, ready again after {incident.recovered_after_s:.1f} s"
    return incident.next_step or "nothing yet"


def _requests(incident: Incident) -> str:
    ids = incident.task_ids
    if not ids:
        return "none was open"
    more = f" and {len(ids) - MAX_REQUESTS_SHOWN} more" if len(ids) > MAX_REQUESTS_SHOWN else ""
    return f"{len(ids)} ended with this error: {', '.join(ids[:MAX_REQUESTS_SHOWN])}{more}"
