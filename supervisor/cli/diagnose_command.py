"""The words and flags of `ringwarden diagnose`."""

from enum import StrEnum
from typing import Annotated

import typer


class SystemName(StrEnum):
    """Where a log was written."""

    DARWIN = "darwin"
    LINUX = "linux"


def diagnose(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...|-]", help="Logs; `-` or nothing is standard input. With --group: RANK=FILE[:EXIT] ..."
        ),
    ] = None,
    exit_status: Annotated[
        int | None,
        typer.Option(metavar="N", help="How the process ended: exit code, 128 + signal, or -signal."),
    ] = None,
    operating_system: Annotated[
        SystemName | None, typer.Option("--os", help="Where the log was written. Default: what the log tells.")
    ] = None,
    group: Annotated[
        bool, typer.Option("--group", help="Judge several ranks together. EXIT: a number, -signal, or alive.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document for each input.")] = False,
) -> None:
    """Name the cause of a failure from logs alone. Exit code 0 when one was found, 1 when none."""
    from supervisor.cli.diagnose import diagnose_group, diagnose_logs  # noqa: PLC0415 - only this command needs it

    system = None if operating_system is None else operating_system.value
    if group:
        outcome = diagnose_group(inputs or [], exit_status, system, as_json=as_json)
    else:
        outcome = diagnose_logs(inputs or ["-"], exit_status, system, as_json=as_json)
    raise typer.Exit(outcome)
