"""`why`: the story of an incident, or of a request, on one screen or in one file."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from diagnostics.incident import Incident
from supervisor.cli.bundle import Bundle
from supervisor.cli.errors import CommandError
from supervisor.cli.incident_story import incident_story
from supervisor.cli.kept_journal import kept_journal
from supervisor.cli.reading import DaemonChoice, known_incidents, print_json
from supervisor.cli.task_story import task_story
from supervisor.cli.terminal import console
from supervisor.exit_code import ExitCode
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import TaskRecord
from supervisor.raw_log_folder import RawLogFolder
from supervisor.redaction import known_secrets
from supervisor.state_directory import StateDirectory

MAX_TASKS = 100


def show_story(choice: DaemonChoice, wanted: str | None, *, as_json: bool) -> None:
    """Carry out `why`: by incident id or its beginning, by request id, or the newest when nothing is named.

    Raises:
        CommandError: Nothing is known by that name, or more than one incident begins with it.
    """
    with _journal(choice) as reader:
        found = _find(choice, reader, wanted)
        if as_json:
            print_json(found)
        elif isinstance(found, Incident):
            console().print(incident_story(found, _tasks(reader, found)))
        else:
            console().print(task_story(found))


class _Bundled(msgspec.Struct, frozen=True):
    incident_id: str
    bundle: str


def write_bundle(choice: DaemonChoice, wanted: str | None, file: str | None, *, as_json: bool) -> None:
    """Carry out `why --bundle`.

    Args:
        choice: Which daemon.
        wanted: As for `show_story`; a name that ends in .zip, alone, is the file.
        file: The zip to make; None names it after the incident, in the working directory.
        as_json: Tell where it is in one JSON document.

    Raises:
        CommandError: There is no such incident, or the file exists or cannot be made.
    """
    if file is None and wanted is not None and wanted.endswith(".zip"):
        wanted, file = None, wanted
    settings = choice.settings()
    with _journal(choice) as reader:
        found = _find(choice, reader, wanted)
        if not isinstance(found, Incident):
            remedy = f"A bundle is about an incident; for this request, see: ringwarden logs --task {found.task_id}"
            raise CommandError(f"{found.task_id} met no incident", remedy, ExitCode.BAD_DATA)
        target = Path(file or f"ringwarden-{found.incident_id}.zip")
        secrets = known_secrets(os.environ, settings.api_key)
        raw_logs = RawLogFolder(StateDirectory(settings.state_dir).raw_logs_folder)
        Bundle(found, reader, raw_logs, settings, secrets).write(target)
    if as_json:
        print_json(_Bundled(found.incident_id, str(target)))
    else:
        console().print(f"{target} is ready to attach; secrets were removed, but have a look before you send it")


@contextmanager
def _journal(choice: DaemonChoice) -> Generator[JournalReader | None]:
    """Open the journal of the state folder; None when there is none, or when --url names somebody else's daemon."""
    state_dir = choice.settings().state_dir
    if choice.url is not None or not StateDirectory(state_dir).journal_file.exists():
        yield None
    else:
        with kept_journal(state_dir) as reader:
            yield reader


def _find(choice: DaemonChoice, reader: JournalReader | None, wanted: str | None) -> Incident | TaskRecord:
    incident = _chosen(known_incidents(choice), wanted)
    if incident is not None:
        return incident
    if reader is not None and wanted:
        found = reader.incident(wanted) or reader.incident_of_task(wanted) or reader.task(wanted)
        if found is not None:
            return found
    what = f"no incident and no request is known as {wanted}" if wanted else "no incident is known"
    raise CommandError(what, "See: ringwarden incidents", ExitCode.BAD_DATA)


def _chosen(incidents: tuple[Incident, ...], wanted: str | None) -> Incident | None:
    if wanted is None:
        return incidents[0] if incidents else None
    exact = [found for found in incidents if wanted == found.incident_id or wanted in found.task_ids]
    if exact:
        return exact[0]
    started = [found for found in incidents if found.incident_id.startswith(wanted)] if wanted else []
    if len(started) > 1:
        names = ", ".join(found.incident_id for found in started[:4])
        raise CommandError(f"{wanted} begins more than one incident", f"Write more of it: {names}", ExitCode.BAD_DATA)
    return started[0] if started else None


def _tasks(reader: JournalReader | None, incident: Incident) -> tuple[TaskRecord, ...]:
    return () if reader is None else reader.tasks_of_incident(incident.incident_id, MAX_TASKS)
