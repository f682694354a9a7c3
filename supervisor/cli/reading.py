"""The commands that only look: `ps`, `incidents`, `why`."""

import os
from pathlib import Path

import msgspec

from diagnostics.incident import Incident
from supervisor.cli.cluster_table import group_line, rank_table
from supervisor.cli.daemon_client import DaemonClient, NoDaemon, daemon_url
from supervisor.cli.errors import CommandError
from supervisor.cli.incident_story import incident_story, incident_table
from supervisor.cli.kept_journal import kept_journal
from supervisor.cli.terminal import console
from supervisor.exit_code import ExitCode
from supervisor.settings import Settings, load_settings
from supervisor.state_directory import StateDirectory

MAX_INCIDENTS_SHOWN = 200


class DaemonChoice(msgspec.Struct, frozen=True):
    """Which daemon a command is about; None where the flag was not given."""

    url: str | None
    state_dir: Path | None
    api_key_file: Path | None

    def settings(self) -> Settings:
        """Return the settings that matter for finding and asking it."""
        flags = {"state_dir": self.state_dir, "api_key_file": self.api_key_file}
        return load_settings(flags, os.environ, None)


def print_json(value: object) -> None:
    """Write one JSON document and a newline to standard output."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    console().out(text, highlight=False)


def show_cluster(choice: DaemonChoice, *, as_json: bool) -> None:
    """Carry out `ps`."""
    settings = choice.settings()
    with DaemonClient(daemon_url(choice.url, settings), settings.api_key) as daemon:
        view = daemon.cluster()
    if as_json:
        print_json(view)
        return
    console().print(group_line(view), rank_table(view), sep="\n")


def show_incidents(choice: DaemonChoice, *, as_json: bool) -> None:
    """Carry out `incidents`."""
    incidents = _known_incidents(choice)
    if as_json:
        print_json(incidents)
    elif incidents:
        console().print(incident_table(incidents))
    else:
        console().print("no incidents")


def show_story(choice: DaemonChoice, wanted: str | None, *, as_json: bool) -> None:
    """Carry out `why`: by incident id or its beginning, by request id, or the newest when nothing is named."""
    incident = _chosen(_known_incidents(choice), wanted)
    if incident is None:
        incident = _older(choice, wanted or "")
    if as_json:
        print_json(incident)
    else:
        console().print(incident_story(incident))


def _known_incidents(choice: DaemonChoice) -> tuple[Incident, ...]:
    """Ask the daemon; when none runs, read its journal. A daemon that was named by --url must answer itself."""
    settings = choice.settings()
    try:
        with DaemonClient(daemon_url(choice.url, settings), settings.api_key) as daemon:
            return daemon.incidents()
    except NoDaemon:
        if choice.url is not None:
            raise
        if not StateDirectory(settings.state_dir).journal_file.exists():
            return ()
        with kept_journal(settings.state_dir) as reader:
            return reader.incidents(MAX_INCIDENTS_SHOWN)


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


def _older(choice: DaemonChoice, wanted: str) -> Incident:
    """Look for an incident that is in the journal, but no longer among the newest."""
    state_dir = choice.settings().state_dir
    if wanted and StateDirectory(state_dir).journal_file.exists():
        with kept_journal(state_dir) as reader:
            found = reader.incident(wanted) or reader.incident_of_task(wanted)
        if found is not None:
            return found
    what = f"no incident and no failed request is known as {wanted}" if wanted else "no incident is known"
    raise CommandError(what, "See: ringwarden incidents", ExitCode.BAD_DATA)
