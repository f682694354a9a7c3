"""Small files that belong to one user: read whole, written whole, changed by one process at a time."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_LOCK_POLL_S = 0.02
_OTHERS_MAY_WRITE = 0o022
_OTHERS_MAY_ANYTHING = 0o077

FileStamp = tuple[int, int, int]


class PrivateFileError(Exception):
    """The file cannot be used; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def stamp_of(path: Path) -> FileStamp | None:
    """Return what changes whenever the file is replaced or written; None when there is no file.

    Raises:
        PrivateFileError: It cannot be looked at.
    """
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, problem) from problem
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_private_file(path: Path, *, max_bytes: int, may_be_read: bool = False) -> bytes | None:
    """Return the whole content; None when there is no file.

    Args:
        path: A plain file of this user's; a link is refused.
        max_bytes: A longer one is refused.
        may_be_read: Others may read it, but still not write it.

    Raises:
        PrivateFileError: Others may write it (or read it), it is too long, no plain file, or cannot be read.
    """
    try:
        # A pipe in its place must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, problem) from problem
    try:
        _check(path, os.fstat(descriptor), may_be_read=may_be_read)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    except OSError as problem:
        raise _unusable(path, problem) from problem
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise PrivateFileError(f"{path} has more than {max_bytes} bytes", "Put the right file there, or delete it")
    return content


def _check(path: Path, found: os.stat_result, *, may_be_read: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PrivateFileError(f"{path} is no plain file", "Put a plain file there, or remove it")
    if found.st_uid != os.geteuid():
        raise PrivateFileError(f"{path} belongs to another user", "Make it yours, or choose another --state-dir")
    if stat.S_IMODE(found.st_mode) & (_OTHERS_MAY_WRITE if may_be_read else _OTHERS_MAY_ANYTHING):
        what = "write" if may_be_read else "read or write"
        raise PrivateFileError(f"other users may {what} {path}", f"If nobody did: chmod 600 {path}")


def tighten_private_file(path: Path, *, may_be_read: bool = False) -> bool:
    """Take away from others what `read_private_file` refuses; True when it was wider. Only of a plain file of ours.

    Raises:
        PrivateFileError: It cannot be changed.
    """
    refused = _OTHERS_MAY_WRITE if may_be_read else _OTHERS_MAY_ANYTHING
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise _unusable(path, problem) from problem
    try:
        found = os.fstat(descriptor)
        is_wider = stat.S_IMODE(found.st_mode) & refused != 0
        if is_wider and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~refused)
            return True
    except OSError as problem:
        raise _unusable(path, problem) from problem
    finally:
        os.close(descriptor)
    return False


def write_private_file(path: Path, content: bytes) -> None:
    """Replace the file (0600), on the disk when this returns; a reader sees the old content or the new.

    Call it under `held_lock`.

    Raises:
        PrivateFileError: It cannot be written; the old content stays.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held_lock(path: Path, *, timeout_s: float) -> Generator[None, None, None]:
    """Be the only process in this context; the kernel lets go when a process dies. Blocks for up to `timeout_s`.

    Raises:
        PrivateFileError: Another process holds it all that time, or the lock file cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise _unusable(path, problem) from problem
    try:
        gives_up_at = time.monotonic() + timeout_s
        while not _try_lock(path, descriptor):
            if time.monotonic() >= gives_up_at:
                raise PrivateFileError(
                    f"another process has held {path} for {timeout_s:g} s",
                    "See which `ringwarden keys` hangs, and end it",
                )
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(path: Path, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
            return False
        raise _unusable(path, problem) from problem
    return True


def _unusable(path: Path, problem: OSError) -> PrivateFileError:
    if problem.errno == errno.ELOOP:
        return PrivateFileError(f"{path} is a link", "Put the file itself there")
    return PrivateFileError(
        f"{path} cannot be used: {problem.strerror or problem}",
        "Make it yours to read and write, or choose another --state-dir",
    )
