"""The flags of `ringwarden events`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli.event_rows import EventType


def events(  # noqa: PLR0917 - typer reads the flags from the signature
    since: Annotated[str | None, typer.Option(metavar="TIME|AGO", help="From 2026-05-31T17:04, or 10m ago.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    types: Annotated[
        list[EventType] | None,
        typer.Option("--type", metavar="TYPE", help="Only these; may be given again. Default: all but output."),
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Ask this daemon, not the journal here.")] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The daemon's state folder.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the daemon's API key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each event.")] = False,
) -> None:
    """Show what happened: states, phases, deaths, incidents, requests. Works without a daemon too, unless it follows.

    Types: state, phase, death, incident, recovered, request, output, missed.

    Output is kept in the raw logs: it is shown here only as it comes, with --follow --type output, or with --url.
    """
    from supervisor.cli.events import EventsRequest, show_events  # noqa: PLC0415 - each command loads what it needs
    from supervisor.cli.log_query import moment  # noqa: PLC0415
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415

    begin = None if since is None else moment(since, "--since", time.time())
    request = EventsRequest(since=begin, types=frozenset(types or ()), follow=follow, as_json=as_json)
    show_events(DaemonChoice(url, state_dir, api_key_file), request)
