"""Single keys from a terminal, which is put back as it was whatever happens."""

import os
import select
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager

_MOST_KEYS = 64
_CONTROL_CHARACTERS = 6


class Keyboard:
    """Keys that wait to be read. Made by `keyboard`."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def pressed(self, within_s: float) -> str:
        """Return the keys that were pressed, waiting for the first one. Blocks for `within_s` at the most."""
        waiting = [] if self._descriptor is None else [self._descriptor]
        ready, _, _ = select.select(waiting, [], [], within_s)
        if not ready or self._descriptor is None:
            return ""
        data = os.read(self._descriptor, _MOST_KEYS)
        if not data:
            self._descriptor = None  # The terminal is gone, and would be ready for ever.
        return data.decode("ascii", "replace")


@contextmanager
def keyboard() -> Generator[Keyboard]:
    """Read keys one by one, unseen, while the context lasts. Ctrl-C stays what it is.

    Ctrl-Z does nothing meanwhile: a shell would get back a terminal that still shows another screen, without a cursor.
    """
    if not sys.stdin.isatty():
        yield Keyboard(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        changed = termios.tcgetattr(descriptor)
        changed[_CONTROL_CHARACTERS][termios.VSUSP] = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes(1, "big")
        termios.tcsetattr(descriptor, termios.TCSANOW, changed)
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
