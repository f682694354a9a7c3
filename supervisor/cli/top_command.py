"""The flags of `ringwarden top`."""

from pathlib import Path
from typing import Annotated

import typer


def top(
    once: Annotated[bool, typer.Option("--once", help="Say it once and end; so it is without a terminal.")] = False,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The daemon's address; default: the one running here.")
    ] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The daemon's state folder.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the daemon's API key.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object each second; with --once, one.")
    ] = False,
) -> None:
    """Watch the group: ranks, memory, tokens per second, requests, latency, incidents. q quits.

    A daemon that is stopped is waited for.
    """
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415 - each command loads only what it needs
    from supervisor.cli.top import run_top  # noqa: PLC0415

    raise typer.Exit(run_top(DaemonChoice(url, state_dir, api_key_file), once=once, as_json=as_json))
