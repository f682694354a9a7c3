"""`top`: the service as it is, drawn again and again; or said once, or as lines of JSON."""

import os
import signal
import sys
import time
from types import FrameType

from rich.live import Live

from supervisor.cli.keyboard import keyboard
from supervisor.cli.reading import DaemonChoice, print_json
from supervisor.cli.terminal import complain, console, json_line
from supervisor.cli.top_state import TopState, TopView
from supervisor.cli.top_view import Shares, state_parts, top_screen
from supervisor.cli.top_watch import TopWatch, look_once
from supervisor.colour import can_redraw
from supervisor.exit_code import ExitCode

REDRAW_INTERVAL_S = 0.25
SHOWN_ONCE = Shares(ranks=64, requests=20, incidents=5)
_QUIT_KEYS = frozenset("qQ\x04")


def run_top(choice: DaemonChoice, *, once: bool, as_json: bool) -> int:
    """Carry out `top`; return the exit code. Blocks until somebody quits, or not for long where nobody can.

    Raises:
        CommandError: No daemon answers, at the beginning. Later ones are waited for.
    """
    state = look_once(choice)
    if as_json and once:
        print_json(state)
    elif as_json:
        _print_states(choice)
    elif once or not can_redraw(os.environ, on_terminal=sys.stdout.isatty()):
        _print_once(state)
    else:
        _draw(choice)
    return ExitCode.OK


def _print_once(state: TopState) -> None:
    out = console()
    for part in state_parts(state, out.width, SHOWN_ONCE):
        out.print(part)


def _print_states(choice: DaemonChoice) -> None:
    """One document on each line, whenever the daemon says how things are, which is every second."""
    printed_at: float | None = None
    lost = False

    def changed(view: TopView) -> None:
        nonlocal printed_at, lost
        if view.lost is not None and not lost:
            complain(f"the connection to the daemon was lost: {view.lost}", "Waiting for it to come back")
        elif view.lost is None and lost:
            complain("the daemon answers again", "Going on")
        lost = view.lost is not None
        if view.state is not None and view.state.at != printed_at and not lost:
            printed_at = view.state.at
            sys.stdout.write(json_line(view.state))
            sys.stdout.flush()

    TopWatch(choice, changed).watch()


def _draw(choice: DaemonChoice) -> None:
    # An ordered end also when somebody else ends it, so that the terminal is what it was.
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ending, _leave)
    watch = TopWatch(choice)
    watch.start()
    out = console()
    with keyboard() as keys, Live(console=out, screen=True, auto_refresh=False, redirect_stderr=False) as screen:
        while True:
            screen.update(top_screen(watch.view, time.time(), out.width, out.height), refresh=True)
            if _QUIT_KEYS & set(keys.pressed(REDRAW_INTERVAL_S)):
                return


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
