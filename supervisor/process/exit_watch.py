"""Noticing that a child has ended, without reaping it and without polling.

Linux has pidfds, macOS has kqueue's EVFILT_PROC with NOTE_EXIT. Neither waits for pipes, so a grandchild that holds
stderr open delays nothing (`asyncio.subprocess.Process.wait` waits for it on Python 3.11 to 3.13). The child stays a
zombie until the caller reaps it, so its pid and process group cannot be taken by a stranger meanwhile.
"""

import os
import select
import sys
from typing import Protocol

import anyio


class ExitWatch(Protocol):
    """Something selectable that becomes readable when one process has ended."""

    def fileno(self) -> int: ...

    @property
    def already_dead(self) -> bool:
        """True when the process had ended before the watch began."""
        ...

    def close(self) -> None: ...


class PidfdExitWatch:
    """Linux >= 5.3.

    Args:
        pid: A child of this process that nobody has reaped.
    """

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self.already_dead = False

    def fileno(self) -> int:
        """The pidfd; readable once the process has ended."""
        return self._fd

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


class KqueueExitWatch:
    """macOS. Registering on a pid that is dead already fails with ESRCH: that is an exit, not an error.

    Args:
        pid: A child of this process that nobody has reaped.
    """

    def __init__(self, pid: int) -> None:
        self._queue = select.kqueue()
        event = select.kevent(
            pid, filter=select.KQ_FILTER_PROC, flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT, fflags=select.KQ_NOTE_EXIT
        )
        self.already_dead = False
        try:
            self._queue.control([event], 0, 0)
        except ProcessLookupError:
            self.already_dead = True
        except OSError:
            self._queue.close()
            raise

    def fileno(self) -> int:
        """The kqueue's descriptor; readable once the process has ended."""
        return self._queue.fileno()

    def close(self) -> None:
        """Give the descriptor back."""
        self._queue.close()


def open_exit_watch(pid: int) -> ExitWatch:
    """Watch one child of this process; the watch is the caller's to close."""
    return KqueueExitWatch(pid) if sys.platform == "darwin" else PidfdExitWatch(pid)


async def wait_for_exit(watch: ExitWatch) -> None:
    """Return when the watched process has ended. Cancel point; the process is not reaped."""
    if not watch.already_dead:
        await anyio.wait_readable(watch.fileno())
