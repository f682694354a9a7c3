"""Whether to colour, and whether to draw and redraw: one answer for everything that writes to a terminal. Pure."""

from collections.abc import Mapping

_PLAIN_TERMINALS = ("dumb", "unknown")


def wants_colour(environment: Mapping[str, str], *, on_terminal: bool) -> bool:
    """Return whether output gets colours. `NO_COLOR` outweighs `FORCE_COLOR`, and both outweigh what is there.

    Args:
        environment: The process's; an empty value counts as none, as no-color.org has it.
        on_terminal: Whether the output is a terminal.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return on_terminal and environment.get("TERM") not in _PLAIN_TERMINALS


def can_redraw(environment: Mapping[str, str], *, on_terminal: bool) -> bool:
    """Return whether lines may be drawn over: not in a pipe, nor on a terminal whose cursor stays where it is."""
    return on_terminal and environment.get("TERM", "") not in ("", *_PLAIN_TERMINALS)


def wants_progress_bars(environment: Mapping[str, str], *, on_terminal: bool) -> bool:
    """Return whether progress is drawn as a bar; where it is not, it is told in plain lines."""
    plain = environment.get("NO_COLOR") or environment.get("CI")
    return not plain and can_redraw(environment, on_terminal=on_terminal)
