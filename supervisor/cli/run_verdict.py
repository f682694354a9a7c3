"""The last words of a run that failed: the sentence, why we think so, what to do, and where to look."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from diagnostics.incident import Incident
from supervisor.cli.terminal import WIDTH_WHEN_PIPED, shown

MAX_EVIDENCE_LINES = 8


def verdict_text(incident: Incident, log_folder: Path, why_command: str, *, coloured: bool) -> str:
    """Return whole lines for a terminal, or for a file when they are not to be coloured.

    Args:
        incident: The failure.
        log_folder: Where the ranks' output is.
        why_command: Tells more about it.
        coloured: Whether they go to a terminal that takes colours.
    """
    text = io.StringIO()
    console = Console(
        file=text,
        force_terminal=coloured,
        color_system="standard" if coloured else None,
        width=shutil.get_terminal_size().columns if coloured else WIDTH_WHEN_PIPED,
        highlight=False,
        markup=False,
        emoji=False,
    )
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("cause", shown(f"{incident.cause}, {incident.confidence}"))
    for number, line in enumerate(_evidence(incident)):
        facts.add_row("" if number else "why", line)
    facts.add_row("what to do", shown(incident.advice))
    facts.add_row("logs", shown(str(log_folder)))
    facts.add_row("more", shown(why_command))
    console.print(shown(f"ringwarden: {incident.message}", "bold red"), soft_wrap=True)
    console.print(facts)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _evidence(incident: Incident) -> Iterator[Text]:
    lines = incident.evidence[-MAX_EVIDENCE_LINES:]
    if not lines:
        yield shown("it wrote nothing that explains its end", "dim")
    for line in lines:
        yield shown(line)
