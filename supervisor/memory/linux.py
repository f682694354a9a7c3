"""Linux: footprint from /proc, kills from the kernel log and from the counter of the process's cgroup."""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from diagnostics.cgroup_memory import CgroupPlace, locate_cgroup, parse_kill_counter, parse_limit
from supervisor.memory.kernel_log import KernelLog
from supervisor.memory.reader import MemorySample, MemorySources, SystemWords

_MAX_FILE_BYTES = 16 * 1024
_KIB = 1024


class LinuxMemoryReader:
    """One process. See `MemoryReader`.

    Args:
        pid: A living process.
        sources: Where to look.
    """

    def __init__(self, pid: int, sources: MemorySources) -> None:
        self._pid = pid
        self._process = sources.process_folder / str(pid)
        self._machine = sources.process_folder / "meminfo"
        self._cgroup_folder = PurePosixPath(sources.cgroup_folder)
        self._log = KernelLog(sources.kernel_log, sources.process_folder / "self" / "ns" / "pid")
        self._membership: str | None = None
        self._place = CgroupPlace((), ())
        self.limit_bytes: int | None = None
        self.name = ""

    def sample(self, now: float) -> MemorySample | None:
        """Read the footprint (resident memory), what the machine has left, and the cgroup's counter."""
        pages = _read(self._process / "statm").split()
        self._log.read(now)
        if len(pages) < 2 or not pages[1].isdigit() or int(pages[1]) == 0:
            return None
        machine = _machine_memory(_read(self._machine))
        self._find_cgroup(machine.get("MemTotal"))
        return MemorySample(
            at_s=now,
            footprint_bytes=int(pages[1]) * os.sysconf("SC_PAGE_SIZE"),
            available_bytes=machine.get("MemAvailable"),
            counted_kills=self._counted(),
        )

    def examine(self, died_at_s: float, before: MemorySample | None) -> SystemWords:
        """Read what the kernel wrote and counted since `before`. Both are there before the process is gone."""
        self._log.read(died_at_s)
        counted, known = self._counted(), None if before is None else before.counted_kills
        has_counter = counted is not None and known is not None
        counter = f"the out-of-memory counter of its cgroup ({self._counter_name()})"
        log = f"the kernel log ({self._log.path})"
        return SystemWords(
            kills=self._log.kills(self._pid, since_s=died_at_s if before is None else before.at_s),
            pids_agree=self._log.pids_agree,
            counted_kills=max(0, counted - known) if counted is not None and known is not None else 0,
            looked_at=tuple(words for words, ok in ((log, self._log.is_complete), (counter, has_counter)) if ok),
            no_answer=tuple(words for words, ok in ((log, self._log.is_complete), (counter, has_counter)) if not ok),
        )

    def close(self) -> None:
        """Close the kernel log."""
        self._log.close()

    def _find_cgroup(self, machine_bytes: int | None) -> None:
        membership = _read(self._process / "cgroup")
        if not membership or membership == self._membership:
            return
        self._membership = membership
        self.name = _read(self._process / "comm").strip()
        self._place = locate_cgroup(membership, self._cgroup_folder)
        limits = [parse_limit(_read(Path(path))) for path in self._place.limits]
        self.limit_bytes = min((one for one in (*limits, machine_bytes) if one is not None), default=None)

    def _counted(self) -> int | None:
        found = (parse_kill_counter(_read(Path(path))) for path in self._place.counters)
        return next((counter for counter in found if counter is not None), None)

    def _counter_name(self) -> str:
        known = (path for path in self._place.counters if Path(path).exists())
        return str(next(known, self._cgroup_folder))


def _read(path: Path) -> str:
    """The beginning of a small file; nothing when it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
    return ""


def _machine_memory(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in ("MemTotal:", "MemAvailable:") and words[1].isdigit():
            found[words[0].rstrip(":")] = int(words[1]) * _KIB
    return found
