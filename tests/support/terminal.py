"""A real terminal for a command: what it draws, keys, another size, and how it was left."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

DEADLINE_S = 30.0
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9])")
# A new session's leader has to ask for its controlling terminal, without which Ctrl-C is a letter.
_TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_OURS = ("NO_COLOR", "FORCE_COLOR", "CI", "TERM", "COLUMNS", "LINES")


class Terminal:
    """One command on a pseudo-terminal of its own, which is its controlling one."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], columns: int, lines: int) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, lines)
        self._before = termios.tcgetattr(self._theirs)
        kept = {name: value for name, value in os.environ.items() if name not in _OURS and "RINGWARDEN" not in name}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_THE_TERMINAL, *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**kept, "TERM": "xterm-256color", **variables},
            start_new_session=True,
        )
        self.raw = ""

    @property
    def text(self) -> str:
        """All that it showed, without colours and movements."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    @property
    def _end(self) -> str:
        return self.text[-2_000:]

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; the command is told."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str, deadline_s: float = DEADLINE_S) -> None:
        """Read until `text` was shown, counting from the last call."""
        seen = len(self.text)
        ends_at = time.monotonic() + deadline_s
        while text not in self.text[seen:]:
            assert time.monotonic() < ends_at, f"not within {deadline_s} s: {text!r} in {self._end!r}"
            assert self._read(0.1) or self.process.poll() is None, f"it ended without {text!r}: {self._end!r}"

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Read to the end; return the exit code."""
        ends_at = time.monotonic() + deadline_s
        while self.process.poll() is None or self._read(0.05):
            assert time.monotonic() < ends_at, f"it did not end within {deadline_s} s: {self._end!r}"
            self._read(0.05)
        return self.process.returncode

    def can_suspend(self) -> bool:
        """Whether Ctrl-Z stops the command, and gives its shell the terminal as it is then."""
        control_characters = termios.tcgetattr(self._theirs)[6]
        return control_characters[termios.VSUSP] != b"\0"

    def is_sane(self) -> bool:
        """Whether the terminal was left as it was found: echo, lines, screen, cursor."""
        screens = self.raw.count("\x1b[?1049h") == self.raw.count("\x1b[?1049l")
        cursor = self.raw.rfind("\x1b[?25l") <= self.raw.rfind("\x1b[?25h")
        return screens and cursor and termios.tcgetattr(self._theirs) == self._before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)

    def _read(self, within_s: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], within_s)
        if not ready:
            return False
        try:
            piece = os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # EIO is a terminal's end of file
            return False
        self.raw += piece
        return bool(piece)


@contextmanager
def on_a_terminal(*arguments: str, columns: int = 100, lines: int = 30, **variables: str) -> Iterator[Terminal]:
    """Run `ringwarden ARGUMENTS` on a terminal; it is ended when the block ends."""
    terminal = Terminal([sys.executable, "-m", "supervisor.cli", *arguments], variables, columns, lines)
    try:
        yield terminal
    finally:
        terminal.close()
