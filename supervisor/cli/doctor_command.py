"""The words and flags of `ringwarden doctor`."""

from typing import Annotated

import typer

from supervisor.cli.command_flags import TAKES_OTHER_FLAGS, parsed_flags
from supervisor.settings_sources import found_config

DOCTOR_TAKES_FLAGS_OF_UP = TAKES_OTHER_FLAGS


def doctor(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="End stray runners, remove what a dead daemon left, tighten permissions.")
    ] = False,
    ring: Annotated[bool, typer.Option("--ring", help="Also form a ring of two real MLX processes.")] = False,
    head: Annotated[
        str | None, typer.Option(metavar="HEAD[:PORT]", help="Also try to reach this head, as a node would.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Check this machine: what is wrong, how that shows, and what to do. Takes the flags of `up`.

    Exit code: 0 when no check failed, else 78 (something must be set right), 69 (something is not there) or 75 (it
    may pass).
    """
    from supervisor.cli.doctor import examine  # noqa: PLC0415 - each command loads only what it needs
    from supervisor.cli.join_command import head_address  # noqa: PLC0415

    flags = parsed_flags(context, "up", context.args)
    config = found_config(flags.pop("config"))
    named = None if head is None else head_address(head)
    raise typer.Exit(examine(flags, config, head=named, fix=fix, form_ring=ring, as_json=as_json))
