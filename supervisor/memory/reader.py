"""What a system must be able to tell about one process's memory: Linux and macOS each in their own module."""

import sys
from pathlib import Path
from typing import Protocol

import msgspec

from diagnostics.evidence import OperatingSystem
from diagnostics.memory_evidence import MemoryKill


class MemorySources(msgspec.Struct, frozen=True):
    """Where to look, and how long. The paths differ only in tests.

    A sample is taken every `interval_s`, the newest `max_samples` are kept. `examine_within_s` bounds how long a death
    waits for evidence. A report that macOS writes later is waited for `late_within_s`, with a look every
    `late_interval_s`.
    """

    system: OperatingSystem = OperatingSystem.DARWIN if sys.platform == "darwin" else OperatingSystem.LINUX
    interval_s: float = 2.0
    max_samples: int = 30
    examine_within_s: float = 0.1
    late_interval_s: float = 1.0
    late_within_s: float = 30.0
    process_folder: Path = Path("/proc")
    cgroup_folder: Path = Path("/sys/fs/cgroup")
    kernel_log: Path = Path("/dev/kmsg")
    report_folders: tuple[Path, ...] = (
        Path("/Library/Logs/DiagnosticReports"),
        Path("~/Library/Logs/DiagnosticReports"),
    )


class MemorySample(msgspec.Struct, frozen=True):
    """One look at the living process; `counted_kills` is the state of its cgroup's out-of-memory counter."""

    at_s: float
    footprint_bytes: int
    available_bytes: int | None = None
    counted_kills: int | None = None


class SystemWords(msgspec.Struct, frozen=True):
    """What the system says after a death; see `MemoryEvidence` for the fields."""

    kills: tuple[MemoryKill, ...] = ()
    pids_agree: bool = True
    counted_kills: int = 0
    looked_at: tuple[str, ...] = ()
    no_answer: tuple[str, ...] = ()


class MemoryReader(Protocol):
    """Reads for one process. Every method blocks shortly, belongs into a thread, and never raises for what it reads."""

    limit_bytes: int | None
    name: str

    def sample(self, now: float) -> MemorySample | None:
        """Look at the living process; None when it is gone or hidden."""
        ...

    def examine(self, died_at_s: float, before: MemorySample | None) -> SystemWords:
        """Ask whether memory ran out; `before` is the newest sample that is surely older than the death's cause."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...
