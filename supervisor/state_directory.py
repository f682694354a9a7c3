"""The folder of one daemon: its lock, the record by which other commands find it, its journal and raw logs.

The lock is `flock` on a file that stays: the kernel lets it go when the daemon dies, however it dies. The record is
written only while the lock is held, and is a hint, never proof: who reads it still has to reach the address.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

MAX_RECORD_BYTES = 64 * 1024
_LOOKED_AT_S = 0.2
"""`ringwarden doctor` takes the lock for an instant to look at it: that is no other daemon."""

_POLL_S = 0.01


class StateDirectoryError(Exception):
    """The folder cannot be used; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class StateDirectoryLocked(StateDirectoryError):
    """Another daemon uses the folder. `pid` is None when it has not written its number yet."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = "another ringwarden" if pid is None else f"the ringwarden with pid {pid}"
        super().__init__(
            f"{path} is used by {who}",
            "Stop that one first, or give this one its own folder with --state-dir.",
        )
        self.pid = pid


class DaemonRecord(msgspec.Struct, frozen=True):
    """Who serves from this folder. `started_at` is seconds since the Unix epoch."""

    pid: int
    url: str
    started_at: float
    version: str


class StateDirectory:
    """One daemon's folder. Readers may use it without `create` and without the lock.

    Args:
        path: The folder; need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal_file = path / "journal.db"
        self.raw_logs_folder = path / "logs"
        self.lock_file = path / "lock"
        self.work_folder = path / "group"
        self._record_file = path / "daemon.json"

    def create(self) -> None:
        """Make the folder, for this user only (0700), also when it was wider before.

        Raises:
            StateDirectoryError: It cannot be made, is no folder, or belongs to somebody else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
            if found.st_uid != os.geteuid():
                raise StateDirectoryError(f"{self.path} belongs to another user", "Choose another with --state-dir.")
            if stat.S_IMODE(found.st_mode) != 0o700:
                self.path.chmod(0o700)
        except OSError as problem:
            raise _unusable(self.path, problem) from problem

    @contextmanager
    def lock(self) -> Generator[None, None, None]:
        """Create the folder and hold it for this process; the daemon's record goes when the context ends.

        Waits 0.2 s at most for somebody who only looks at the lock.

        Raises:
            StateDirectoryLocked: Another daemon holds it.
            StateDirectoryError: The folder cannot be used, or it is somebody's folder for something else.
        """
        if self.holds_others_work():
            raise StateDirectoryError(
                f"{self.work_folder} was not made by ringwarden, which empties its own folder of that name",
                "Choose a folder for nothing else with --state-dir.",
            )
        self.create()
        try:
            # Python opens it close-on-exec, so no runner inherits the lock.
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise _unusable(self.lock_file, problem) from problem
        try:
            self._take(descriptor)
            try:
                yield
            finally:
                with suppress(OSError):
                    self._record_file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def holds_others_work(self) -> bool:
        """Return whether there is a work folder that no daemon made: each makes it under the lock, whose file stays."""
        try:
            return self.work_folder.exists() and not self.lock_file.exists()
        except OSError:
            return False  # Nobody can use the folder, and `create` says why.

    def _take(self, descriptor: int) -> None:
        gives_up_at = time.monotonic() + _LOOKED_AT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as problem:
                if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise _unusable(self.lock_file, problem) from problem
                if time.monotonic() >= gives_up_at:
                    raise StateDirectoryLocked(self.path, _pid_in(descriptor)) from problem
            time.sleep(_POLL_S)
        with suppress(OSError):  # the number is for the other one's error message only
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def write_daemon(self, record: DaemonRecord) -> None:
        """Tell other commands where the daemon is, atomically. Call it under `lock`.

        Raises:
            StateDirectoryError: The record cannot be written.
        """
        partial = self._record_file.with_suffix(".partial")
        try:
            partial.write_bytes(msgspec.json.encode(record))
            partial.replace(self._record_file)
        except OSError as problem:
            raise _unusable(self._record_file, problem) from problem

    def read_daemon(self) -> DaemonRecord | None:
        """Return what the last daemon wrote; None when there is nothing, or nothing that can be read as a record."""
        try:
            with self._record_file.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_RECORD_BYTES), type=DaemonRecord)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else None


def _unusable(path: Path, problem: OSError) -> StateDirectoryError:
    return StateDirectoryError(
        f"{path} cannot be used: {problem.strerror or problem}",
        "Make it a folder that you may write to, or choose another with --state-dir.",
    )
