"""The words and flags of `ringwarden run`."""

from pathlib import Path
from typing import Annotated

import typer

from supervisor.core.program_group import RestartWhen

COMMAND_TAKES_THE_REST = {"allow_interspersed_args": False}
"""Flags after the program's name are the program's, with or without `--` before it."""


def run(  # noqa: PLR0917 - typer reads the flags from the signature
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The program and its arguments.")],
    ranks: Annotated[
        int | None, typer.Option("-n", "--ranks", min=1, max=64, help="How many processes. Default: 1.")
    ] = None,
    hostfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Addresses of the ring, as MLX or mlx.launch take them.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Kept with the run, to find it again. Repeatable.")
    ] = None,
    restart: Annotated[RestartWhen, typer.Option(help="When to start it again.")] = RestartWhen.NEVER,
    max_restarts: Annotated[int, typer.Option(min=0, max=1_000_000, help="At most so often within five minutes.")] = 5,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For the ranks' whole output. Default: in the state folder.")
    ] = None,
    state_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The folder for journal and logs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each line and event.")] = False,
) -> None:
    """Run any program on one or more ranks, under supervision.

    With several ranks, each gets its place in an MLX ring on this machine, and they fail together. The exit code is
    that of the rank that caused the failure, 128 + signal for a signal, 127 and 126 for a program that cannot be run.
    The program's stdin is empty, and signals are passed on to it.
    """
    from supervisor.cli.run import run_ranks  # noqa: PLC0415 - only this command needs it

    outcome = run_ranks(
        command,
        ranks=ranks,
        hostfile=hostfile,
        tags=tag or [],
        restart=restart,
        max_restarts=max_restarts,
        log_folder=log_dir,
        state_folder=state_dir,
        as_json=as_json,
    )
    raise typer.Exit(outcome)
