"""The flags of `up` and `join` where another command takes them: parsed by those commands, and written out again."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode
from supervisor.settings_sources import flag_name

TAKES_OTHER_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of a command that leaves what it does not know to `parsed_flags`."""


def parsed_flags(context: typer.Context, command: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return what `ringwarden COMMAND ARGUMENTS` would be told, by parameter name; None where nothing was given.

    Raises:
        TyperException: The command does not take these.
    """
    root = context.find_root()
    group = root.command
    if not isinstance(group, TyperGroup) or command not in group.commands:
        raise CommandError(f"{command} is no command", "This is a fault of ringwarden", ExitCode.SOFTWARE)
    with group.commands[command].make_context(command, list(arguments), parent=root) as parsed:
        return dict(parsed.params)


def written_flags(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """Return flags as arguments; a value cannot be taken for a flag, whatever it begins with."""
    given = {flag_name(name): value for name, value in flags.items() if value is not None and value is not False}
    return tuple(flag if value is True else f"{flag}={value}" for flag, value in given.items())
