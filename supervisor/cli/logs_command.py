"""The flags of `ringwarden logs`."""

from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli.completions import request
from supervisor.cli.log_query import ExportFormat, LogStream


def logs(  # noqa: PLR0917 - typer reads the flags from the signature
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="Only what this request or run wrote.", autocompletion=request),
    ] = None,
    rank: Annotated[int | None, typer.Option(min=0, help="Only this rank.")] = None,
    generation: Annotated[
        int | None, typer.Option(min=0, help="Only this generation; default, without a task: the newest.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only tasks with this tag; may be given again.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME|AGO", help="From 2026-05-31T17:04, or 10m ago.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME|AGO", help="Up to then.")] = None,
    stream: Annotated[
        LogStream | None, typer.Option(help="Only this one; python: what was logged, of tasks only.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    export: Annotated[
        ExportFormat | None, typer.Option(help="Write captured logs of tasks, one row each, each tag a column.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where --export writes; a new file.")] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The daemon's state folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each line.")] = False,
) -> None:
    """Show what ranks wrote, or with --task or --tag what tasks wrote. Works with a running daemon and without."""
    from supervisor.cli.errors import CommandError  # noqa: PLC0415 - each command loads only what it needs
    from supervisor.cli.log_query import selection_of  # noqa: PLC0415
    from supervisor.cli.logs import LogsRequest, show_logs  # noqa: PLC0415
    from supervisor.cli.reading import DaemonChoice  # noqa: PLC0415
    from supervisor.exit_code import ExitCode  # noqa: PLC0415

    if output is not None and export is None:
        raise CommandError("--output is for --export", "Add --export jsonl, or leave it out", ExitCode.USAGE)
    if export is not None and follow:
        raise CommandError("--export cannot follow", "Leave out --follow", ExitCode.USAGE)
    selection = selection_of(task=task, rank=rank, generation=generation, tags=tag or (), since=since, until=until)
    state = DaemonChoice(None, state_dir, None).settings().state_dir
    show_logs(
        LogsRequest(
            state_dir=state,
            selection=selection,
            stream=stream,
            follow=follow,
            as_json=as_json,
            export=export,
            output=output,
        )
    )
