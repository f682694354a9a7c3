"""The order in which `ringwarden --help` lists commands: by what a person wants to do."""

from collections.abc import Mapping
from typing import Any

from typer.core import TyperGroup

from supervisor.cli.examples import examples

SECTIONS = {
    "Serve": ("up", "join", "run", "demo"),
    "Look": ("ps", "top", "requests", "cancel", "events", "logs"),
    "Understand failures": ("incidents", "why", "diagnose", "doctor"),
    "Set up": ("config", "keys", "service"),
}
_LONGEST_LINE = 200


class WholeSentences(TyperGroup):
    """A group whose help shows the first sentence of each command whole, however long it is."""

    sections: Mapping[str, tuple[str, ...]] = {}
    others = "Commands"

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of their sections, then those that are in none."""
        listed = [name for names in self.sections.values() for name in names]
        ordered = [name for name in listed if name in self.commands]
        return ordered + [name for name in self.commands if name not in listed]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        names = self.list_commands(ctx)
        listed = {name for section in self.sections.values() for name in section}
        sections = {**self.sections, self.others: tuple(name for name in names if name not in listed)}
        width = max(map(len, names), default=0)
        for heading, wanted in sections.items():
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(_LONGEST_LINE))
                for name in wanted
                if name in self.commands
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class RingwardenCommands(WholeSentences):
    """All commands, by sections, each with its examples."""

    sections = SECTIONS
    others = "More"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None where there is none of that name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.epilog is None:
            command.epilog = examples(cmd_name)
        return command
