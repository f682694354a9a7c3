"""Does a daemon run from a state folder? Its lock tells: the kernel lets go of it however the daemon dies."""

import errno
import fcntl
import os
from pathlib import Path

import msgspec


class LockFacts(msgspec.Struct, frozen=True):
    """Whether somebody holds the lock, and the pid that the holder wrote into it; `problem` when that is not known."""

    held: bool
    pid: int | None = None
    problem: str | None = None


def read_lock(lock_file: Path) -> LockFacts:
    """Look; no file is made. The lock is taken for an instant, and shared: two looks do not disturb each other."""
    try:
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LockFacts(held=False)
    except OSError as problem:
        return LockFacts(held=False, problem=f"{lock_file} cannot be opened: {problem.strerror}")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EACCES):
            text = os.pread(descriptor, 32, 0)
            return LockFacts(held=True, pid=int(text) if text.isdigit() else None)
        return LockFacts(held=False, problem=f"{lock_file} cannot be locked: {problem.strerror}")
    finally:
        os.close(descriptor)
    return LockFacts(held=False)
