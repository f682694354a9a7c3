"""What a process wrote, byte for byte, in files that together never exceed a limit."""

import os
from pathlib import Path

from loguru import logger


class RawLog:
    """One append-only log with rotation: `path` is the newest file, `path.1` the one before it, and so on.

    Never raises because of the disk: what cannot be written is counted, said once in our own log, and said again in
    the file itself at the place where it is missing, as soon as the disk takes writes again. Nothing is buffered, so
    what `write` took survives a SIGKILL of this process. Not thread-safe; blocks as long as the disk does.

    Args:
        path: The newest file. Its folder must exist; an existing file is continued.
        max_file_bytes: A file that would grow beyond this is rotated.
        max_files: How many files are kept, the newest included; the oldest one goes.
    """

    def __init__(self, path: Path, *, max_file_bytes: int, max_files: int) -> None:
        if max_file_bytes < 1 or max_files < 1:
            raise ValueError(f"max_file_bytes is {max_file_bytes} and max_files {max_files}; both must be at least 1")
        self.path = path
        self.dropped_bytes = 0
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._fd: int | None = None
        self._size_bytes = 0
        self._missing_bytes = 0
        self._complained = False

    def write(self, data: bytes) -> None:
        """Append `data`, over a file's limit into the next one."""
        view = memoryview(data)
        try:
            self._tell_of_gap()
            while view:
                view = view[self._append(view) :]
        except OSError as problem:
            self._drop(len(view), problem)

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, data: memoryview) -> int:
        fd = self._open()
        if self._size_bytes >= self._max_file_bytes:
            self._rotate()
            fd = self._open()
        written = os.write(fd, data[: self._max_file_bytes - self._size_bytes])
        self._size_bytes += written
        return written

    def _open(self) -> int:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size_bytes = os.fstat(self._fd).st_size
        return self._fd

    def _rotate(self) -> None:
        self.close()
        for number in range(self._max_files - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self.path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def _tell_of_gap(self) -> None:
        if not self._missing_bytes:
            return
        notice = f"\n[ringwarden: {self._missing_bytes} bytes are missing here, the disk took no writes]\n".encode()
        while notice:
            notice = notice[self._append(memoryview(notice)) :]
        self._missing_bytes = 0

    def _drop(self, count: int, problem: OSError) -> None:
        self.dropped_bytes += count
        self._missing_bytes += count
        if not self._complained:
            self._complained = True
            logger.warning("{} cannot be written ({}); what belongs there is lost", self.path, problem.strerror)
