"""Writing to a terminal, or to a pipe, which never gets colours, wraps or control characters."""

import os
import sys
from typing import TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from supervisor.colour import wants_colour
from supervisor.printable import printable, printable_json

WIDTH_WHEN_PIPED = 200


class QuietConsole(Console):
    """A console whose reader may go away: that is their right, and no error of the command."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(stream: TextIO | None = None, kind: type[QuietConsole] = QuietConsole) -> QuietConsole:
    """Return a console on standard output, or on `stream`, coloured as `supervisor.colour` says."""
    target = sys.stdout if stream is None else stream
    on_terminal = target.isatty()
    coloured = wants_colour(os.environ, on_terminal=on_terminal)
    return kind(
        file=target,
        force_terminal=on_terminal,
        color_system=None if not coloured else "auto" if on_terminal else "standard",
        width=None if on_terminal else WIDTH_WHEN_PIPED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not on_terminal,
    )


def shown(text: str, style: str = "") -> Text:
    """Return `text` as it may be shown: what a runner wrote must not be able to steer the reader's terminal."""
    return Text(printable(text), style=style)


def json_line(value: object) -> str:
    """Return `value` as one line of JSON with its end, which cannot steer a terminal either."""
    return printable_json(msgspec.json.encode(value).decode()) + "\n"


def announce(line: str) -> None:
    """Write one line to standard output, for the person who started a long-lived command."""
    console().print(shown(line))


def complain(message: str, remedy: str) -> None:
    """Write one red line to standard error: what is wrong, then what to do."""
    line = shown(f"ringwarden: {message.rstrip('.')}. ", "red")
    console(sys.stderr).print(line.append_text(shown(remedy, "bold red")), soft_wrap=True)
