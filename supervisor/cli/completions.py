"""What a shell offers when somebody presses the tab key: ids from the journal of the state folder. Never an error."""

import os
from pathlib import Path

import typer

MAX_OFFERED = 50
_LONGEST_TEXT = 60
_OPEN = "open"
Offer = tuple[str, str]


def incident_or_request(context: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the newest incidents, and requests once enough is typed that these are no incidents."""
    return _from_journal(context, incomplete, with_incidents=True)


def request(context: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the newest requests."""
    return _from_journal(context, incomplete, with_incidents=False)


def open_request(context: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the newest requests that have not ended, as far as the journal knows."""
    return [offer for offer in request(context, incomplete) if offer[1] == _OPEN]


def _from_journal(context: typer.Context, incomplete: str, *, with_incidents: bool) -> list[Offer]:
    try:
        return [offer for offer in _known(context, with_incidents=with_incidents) if offer[0].startswith(incomplete)]
    except Exception:  # noqa: BLE001 - whatever it is: text about it would end up in the line that is being typed
        return []


def _known(context: typer.Context, *, with_incidents: bool) -> list[Offer]:
    # Imported here: pressing the tab key anywhere else must not pay for it.
    from supervisor.journal.reader import JournalReader  # noqa: PLC0415
    from supervisor.settings_resolution import load_settings  # noqa: PLC0415
    from supervisor.state_directory import StateDirectory  # noqa: PLC0415

    given: Path | None = context.params.get("state_dir")
    settings = load_settings({"state_dir": given}, os.environ, None)
    with JournalReader(StateDirectory(settings.state_dir).journal_file) as reader:
        offers = [(task.task_id, _short(task.outcome or _OPEN)) for task in reader.newest_tasks(MAX_OFFERED)]
        if with_incidents:
            incidents = reader.incidents(MAX_OFFERED)
            offers = [(one.incident_id, _short(one.message)) for one in incidents] + offers
    return offers


def _short(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 3] + "..."
