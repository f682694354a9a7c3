"""The order in which `ringwarden --help` lists commands: by what a person wants to do."""

from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "Serve": ("up", "join", "run", "demo"),
    "Look": ("ps", "top", "requests", "cancel", "events", "logs"),
    "Understand failures": ("incidents", "why", "diagnose", "doctor"),
    "Set up": ("config", "keys", "service"),
}
_OTHERS = "More"
_LONGEST_LINE = 200


class GroupedCommands(TyperGroup):
    """A group whose help has sections, and whole sentences in place of cut ones."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of their sections."""
        ordered = [name for names in SECTIONS.values() for name in names if name in self.commands]
        return ordered + [name for name in self.commands if name not in ordered]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        names = self.list_commands(ctx)
        listed = {name for section in SECTIONS.values() for name in section}
        sections = {**SECTIONS, _OTHERS: tuple(name for name in names if name not in listed)}
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
