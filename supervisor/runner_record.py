"""The process groups that a daemon started and has not seen the end of, on disk: for the one that comes after it.

A daemon that is killed takes its runners with it, through their channels, a switch in C and the guard. Should all three
fail, the next daemon of the same state folder finds here what is left, and ends it before it starts anything.
"""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

RUNNERS_FILE = "runners.json"
"""The record's name in a state folder."""

_MAX_RECORD_BYTES = 1024 * 1024
_SAME_START_S = 1.0
_POLL_S = 0.02


class _Entry(msgspec.Struct, frozen=True):
    """A group by its leader; `created_at` tells a stranger that got the number later."""

    pid: int
    created_at: float


class StraysOutlive(Exception):
    """Runners of an earlier daemon cannot be ended: nothing may be started beside them. `remedy` says what to do."""

    remedy = "Restart this machine: a process that outlives SIGKILL waits in the kernel for a device."

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(f"runners of an earlier ringwarden cannot be ended: {', '.join(map(str, pids))}")


class RunnerRecord:
    """One state folder's record. Written under the folder's lock only; each change blocks on a small file.

    Args:
        path: The file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, _Entry] = {}

    def add(self, pid: int) -> None:
        """A process was started, and leads a group of its own."""
        with suppress(psutil.Error):
            self._entries[pid] = _Entry(pid, psutil.Process(pid).create_time())
            self._write()

    def remove(self, pid: int) -> None:
        """It and its group are gone."""
        if self._entries.pop(pid, None) is not None:
            self._write()

    def problem(self) -> str | None:
        """Return why the file tells nothing; None when it can be read, or there is none."""
        try:
            self._decode()
        except FileNotFoundError:
            return None
        except OSError as problem:
            return f"{self._path} cannot be read: {problem.strerror}"
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return f"{self._path} is damaged"
        return None

    def strays(self) -> tuple[int, ...]:
        """Return the pids of what is left of those in the file, changing nothing.

        Beside a daemon that runs, these are its runners and no strays: look at the folder's lock.
        """
        return tuple(entry.pid for entry in self._read() if _is_alive(entry))

    def end_strays(self, within_s: float = 5.0) -> tuple[int, ...]:
        """Kill what an earlier process left behind, wait until it is gone, and return the pids. Blocks so long at most.

        To be called before anything is started.

        Raises:
            StraysOutlive: Some are still there; the record keeps them.
        """
        strays = [entry for entry in self._read() if _is_alive(entry)]
        for entry in strays:
            with suppress(OSError):
                os.killpg(entry.pid, signal.SIGKILL)
        gives_up_at = time.monotonic() + within_s
        while (left := [entry for entry in strays if _is_alive(entry)]) and time.monotonic() < gives_up_at:
            time.sleep(_POLL_S)
        if left:
            raise StraysOutlive([entry.pid for entry in left])
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return tuple(entry.pid for entry in strays)

    def _read(self) -> Iterable[_Entry]:
        try:
            return self._decode()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return ()  # No record, no strays that we could name.

    def _decode(self) -> tuple[_Entry, ...]:
        with self._path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_RECORD_BYTES), type=tuple[_Entry, ...])

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        # A disk that is full must not keep a runner from starting: the record is the third net below it.
        with suppress(OSError):
            partial.write_bytes(msgspec.json.encode(tuple(self._entries.values())))
            partial.replace(self._path)


def _is_alive(entry: _Entry) -> bool:
    try:
        process = psutil.Process(entry.pid)
        is_same = abs(process.create_time() - entry.created_at) < _SAME_START_S and os.getpgid(entry.pid) == entry.pid
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
