"""Ends the runners when the supervisor dies in a way that lets it end nothing any more.

A runner leaves by itself when its channel closes, but it cannot while C code holds its GIL, while it is stopped, or
while it swaps; and macOS has no PDEATHSIG. So one small shell, in a session of its own, holds the other end of a pipe,
is told every runner's process group, and kills what is left of them at end of file. It needs no memory to speak of,
no GIL, and no word from anybody.
"""

import os
import subprocess
from contextlib import suppress

from supervisor.runner_record import RunnerRecord

_SCRIPT = """
groups=
while read -r action group; do
  case "$action" in
    add) groups="$groups $group" ;;
    remove)
      kept=
      for one in $groups; do [ "$one" = "$group" ] || kept="$kept $one"; done
      groups=$kept ;;
  esac
done
for one in $groups; do kill -s KILL -- "-$one" 2>/dev/null; done
"""


class Guard:
    """The shell and the pipe to it. A context manager; leaving it ends the shell and what it still guards.

    A guard that somebody kills is not replaced: runners then rely on their own control threads.

    Args:
        record: Written along, for a daemon that comes after this one; None where none does.
    """

    def __init__(self, record: RunnerRecord | None = None) -> None:
        self._record = record
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )

    def add(self, group: int) -> None:
        """Guard a process group. Never blocks for long: the shell does nothing but read."""
        self._tell(b"add %d\n" % group)
        if self._record is not None:
            self._record.add(group)

    def remove(self, group: int) -> None:
        """The group is gone, its number may be taken by a stranger: to be called before its leader is reaped."""
        self._tell(b"remove %d\n" % group)
        if self._record is not None:
            self._record.remove(group)

    def _tell(self, line: bytes) -> None:
        if self._shell.stdin is not None:
            with suppress(BrokenPipeError):
                os.write(self._shell.stdin.fileno(), line)

    def close(self) -> None:
        """End the shell, and the groups that were not removed."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
