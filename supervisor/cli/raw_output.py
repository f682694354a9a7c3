"""Raw logs as lines: what is there, and what is still being added."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from supervisor.cli.log_lines import LogLine
from supervisor.cli.log_query import LogStream
from supervisor.journal.records import GenerationRecord
from supervisor.raw_log_folder import RawLogFile, RawLogFolder

_CHUNK_BYTES = 256 * 1024
_MAX_LINE_BYTES = 64 * 1024


class RawTail:
    """Reads one stream of one rank from its oldest kept byte on, over rotations; may be asked again for what is new.

    Lines longer than 64 KiB are cut in pieces. All methods block on the disk.

    Args:
        path: The newest file of the stream.
        older: The files before it, oldest first.
    """

    def __init__(self, path: Path, older: list[Path]) -> None:
        self._path = path
        self._older = older
        self._fd: int | None = None
        self._partial = b""

    def lines(self, *, to_the_end: bool) -> Iterator[str]:
        """Yield what was written since the last call; with `to_the_end`, also a last line that is not complete."""
        while data := self._read():
            *whole, rest = (self._partial + data).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
            while len(rest) > _MAX_LINE_BYTES:
                yield rest[:_MAX_LINE_BYTES].decode(errors="replace")
                rest = rest[_MAX_LINE_BYTES:]
            self._partial = rest
        if to_the_end and self._partial:
            yield self._partial.decode(errors="replace")
            self._partial = b""

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read(self) -> bytes:
        while True:
            if self._fd is None and not self._open_next():
                return b""
            data = os.read(self._fd, _CHUNK_BYTES) if self._fd is not None else b""
            if data or not (self._older or self._was_rotated()):
                return data
            self.close()

    def _open_next(self) -> bool:
        path = self._older.pop(0) if self._older else self._path
        with suppress(FileNotFoundError):  # rotated away while we looked
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd is not None or bool(self._older)

    def _was_rotated(self) -> bool:
        """Whether what is open, and read to its end, is not the newest file any more."""
        if self._fd is None:
            return False
        ours = os.fstat(self._fd)
        try:
            newest = self._path.stat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) != (newest.st_dev, newest.st_ino)


class RawGeneration:
    """The output of one generation, of the wanted ranks and streams. Call `close` at the end.

    Args:
        folder: The raw logs.
        generation: Which.
        rank: Only this one, if given.
        stream: Only this one, if given.
    """

    def __init__(
        self, folder: RawLogFolder, generation: GenerationRecord, rank: int | None, stream: LogStream | None
    ) -> None:
        self._folder = folder
        self._record = generation
        self._rank = rank
        self._stream = stream
        self._tails: dict[tuple[int, str], RawTail] = {}

    def lines(self, *, to_the_end: bool) -> Iterator[LogLine]:
        """Yield what is new, stream after stream."""
        self._find_streams()
        for (rank, stream), tail in self._tails.items():
            for line in tail.lines(to_the_end=to_the_end):
                yield LogLine(self._record.generation, rank, stream, line, self._record.run_id)

    def close(self) -> None:
        """Close all files."""
        for tail in self._tails.values():
            tail.close()

    def _find_streams(self) -> None:
        by_stream: dict[tuple[int, str], list[RawLogFile]] = {}
        for file in self._folder.files(self._record.run_id, self._record.generation):
            if self._rank in (None, file.rank) and self._stream in (None, file.stream):
                by_stream.setdefault((file.rank, file.stream), []).append(file)
        for key, files in by_stream.items():
            if key not in self._tails:
                newest = self._folder.file(self._record.run_id, self._record.generation, *key)
                self._tails[key] = RawTail(newest, [file.path for file in files if file.age])
