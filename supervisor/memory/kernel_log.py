"""The kernel's log from now on, for the out-of-memory kills in it."""

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from diagnostics.kernel_log import parse_kernel_record
from diagnostics.memory_evidence import MemoryKill

# The kernel hands out whole records only, none larger than this (Linux kernel/printk/printk.c).
_MAX_RECORD_BYTES = 8192
_MAX_RECORDS_PER_READ = 4096
_MAX_KILLS = 32
# /proc/self/ns/pid of the first pid namespace, whose pids the log uses (Linux include/linux/proc_ns.h).
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


class KernelLog:
    """Follows /dev/kmsg from the moment of its making. Reading needs privileges on most systems. Not thread-safe.

    Args:
        path: The log.
        namespace: The link that names our pid namespace.
    """

    def __init__(self, path: Path, namespace: Path) -> None:
        self.path = path
        self.pids_agree = _link(namespace) == _FIRST_PID_NAMESPACE
        self.is_complete = False
        self._kills: deque[tuple[float, MemoryKill]] = deque(maxlen=_MAX_KILLS)
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
            self.is_complete = True

    def read(self, now: float) -> None:
        """Take in what was written since the last call, and stamp it `now`. Never waits, never raises."""
        for _ in range(_MAX_RECORDS_PER_READ):
            record = self._next_record()
            if record is None:
                return
            # One record in each read; its further lines are properties, which begin with a space.
            for line in record.split(b"\n"):
                kill = parse_kernel_record(line)
                if kill is not None:
                    self._kills.append((now, kill))
        self.is_complete = False

    def kills(self, pid: int, since_s: float) -> tuple[MemoryKill, ...]:
        """The kills of this pid, and those of others that were read at `since_s` or later; oldest first."""
        return tuple(kill for read_at_s, kill in self._kills if read_at_s >= since_s or kill.pid == pid)

    def close(self) -> None:
        """Close the log. May be called twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _next_record(self) -> bytes | None:
        """The next record; empty for one that was overwritten before we came; None at the end."""
        if self._fd is None:
            return None
        try:
            return os.read(self._fd, _MAX_RECORD_BYTES) or None
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self.is_complete = False
            return b""
        except OSError:
            self.is_complete = False
            self.close()
            return None


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""
