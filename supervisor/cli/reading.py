"""The commands that only look: `ps` and `incidents`, and where they look."""

import os
from pathlib import Path

import msgspec

from diagnostics.incident import Incident
from supervisor.cli.cluster_table import group_line, node_table, rank_table
from supervisor.cli.daemon_client import DaemonClient, NoDaemon, daemon_url
from supervisor.cli.errors import CommandError
from supervisor.cli.incident_story import incident_table
from supervisor.cli.kept_journal import kept_journal
from supervisor.cli.terminal import console
from supervisor.printable import printable_json
from supervisor.settings import Settings
from supervisor.settings_resolution import load_settings
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
    console().out(printable_json(text), highlight=False)


def show_cluster(choice: DaemonChoice, *, as_json: bool) -> None:
    """Carry out `ps`."""
    settings = choice.settings()
    with DaemonClient(daemon_url(choice.url, settings), settings.api_key) as daemon:
        view = daemon.cluster()
    if as_json:
        print_json(view)
        return
    console().print(group_line(view), rank_table(view), sep="\n")
    if view.nodes:
        console().print(node_table(view))


def show_incidents(choice: DaemonChoice, *, as_json: bool) -> None:
    """Carry out `incidents`."""
    incidents = known_incidents(choice)
    if as_json:
        print_json(incidents)
    elif incidents:
        console().print(incident_table(incidents))
    else:
        console().print("no incidents")


def known_incidents(choice: DaemonChoice) -> tuple[Incident, ...]:
    """Return the newest incidents, newest first: the daemon's, and those that others left in the same journal.

    A daemon does not know of what `ringwarden run` met beside it. One that was named by --url is asked alone.
    """
    settings = choice.settings()
    try:
        with DaemonClient(daemon_url(choice.url, settings), settings.api_key) as daemon:
            told = daemon.incidents()
    except NoDaemon:
        if choice.url is not None:
            raise
        return _kept_incidents(settings.state_dir)
    if choice.url is not None:
        return told
    try:
        kept = _kept_incidents(settings.state_dir)
    except CommandError:  # no journal that can be read; the daemon's answer is one
        kept = ()
    together = {incident.incident_id: incident for incident in (*kept, *told)}
    newest = sorted(together.values(), key=lambda incident: incident.occurred_at, reverse=True)
    return tuple(newest[:MAX_INCIDENTS_SHOWN])


def _kept_incidents(state_dir: Path) -> tuple[Incident, ...]:
    if not StateDirectory(state_dir).journal_file.exists():
        return ()
    with kept_journal(state_dir) as reader:
        return reader.incidents(MAX_INCIDENTS_SHOWN)
