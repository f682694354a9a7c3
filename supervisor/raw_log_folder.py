"""Where raw logs lie: one folder for each run and generation, one file for each rank and stream."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_GENERATION = re.compile(r"generation-(\d{1,9})")
_FILE = re.compile(r"rank-(\d{1,6})\.(stdout|stderr)\.log(?:\.(\d{1,6}))?")


class RawLogFile(msgspec.Struct, frozen=True):
    """One file. `age` is 0 for the newest of its stream, higher for those that were rotated before it."""

    path: Path
    rank: int
    stream: str
    age: int


class RawLogFolder:
    """The raw logs of one state folder. All methods block on the disk.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def generation(self, run_id: str, generation: int) -> Path:
        """Return the folder of one generation.

        Raises:
            ValueError: `run_id` cannot be part of a path.
        """
        if _RUN.fullmatch(run_id) is None:
            raise ValueError(f"{run_id!r} is no run's id: letters, digits, - and _, at most 64")
        return self.path / run_id / f"generation-{generation}"

    def file(self, run_id: str, generation: int, rank: int, stream: str) -> Path:
        """Return the newest file of one stream."""
        return self.generation(run_id, generation) / f"rank-{rank}.{stream}.log"

    def files(self, run_id: str, generation: int) -> list[RawLogFile]:
        """Return what there is of one generation, by rank and stream, the oldest part first."""
        found: list[RawLogFile] = []
        folder = self.generation(run_id, generation)
        for path in folder.iterdir() if folder.is_dir() else ():
            matched = _FILE.fullmatch(path.name)
            if matched is not None:
                found.append(RawLogFile(path, int(matched[1]), matched[2], int(matched[3] or 0)))
        return sorted(found, key=lambda file: (file.rank, file.stream, -file.age))

    def prune(self, max_total_bytes: int, keep: Path) -> None:
        """Remove the oldest generations until the rest fits; `keep` stays. Never raises because of the disk."""
        folders = sorted(self._generations(), key=_modified_at, reverse=True)
        total_bytes = 0
        for folder in folders:
            total_bytes += _size_bytes(folder)
            if total_bytes > max_total_bytes and folder != keep:
                shutil.rmtree(folder, ignore_errors=True)
                if not any(folder.parent.iterdir()):
                    shutil.rmtree(folder.parent, ignore_errors=True)

    def _generations(self) -> Iterator[Path]:
        for run in self.path.iterdir() if self.path.is_dir() else ():
            if _RUN.fullmatch(run.name) and run.is_dir():
                yield from (found for found in run.iterdir() if _GENERATION.fullmatch(found.name) and found.is_dir())


def _modified_at(folder: Path) -> float:
    try:
        return max((file.stat().st_mtime for file in folder.iterdir()), default=folder.stat().st_mtime)
    except OSError:
        return 0.0


def _size_bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0
