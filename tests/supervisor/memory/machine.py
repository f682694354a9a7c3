"""A folder that stands in for what a system tells about memory, and a real cgroup where one can be had."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.memory.reader import MemorySources

_CGROUPS = Path("/sys/fs/cgroup")


class Machine:
    """A Linux whose kernel log and cgroups are ours to write; processes are the real ones.

    Args:
        folder: An empty folder.
        has_log: Whether the kernel log can be read.
        has_counter: Whether the cgroups count out-of-memory kills.
    """

    def __init__(self, folder: Path, *, has_log: bool = True, has_counter: bool = True) -> None:
        self.log = folder / "kmsg"
        self.cgroups = folder / "cgroup"
        self.reports = folder / "reports"
        self._counters = (self.cgroups / "memory.events", self.cgroups / "memory" / "memory.oom_control")
        if has_log:
            self.log.write_text("")
        if has_counter:
            for counter in self._counters:
                counter.parent.mkdir(exist_ok=True)
            self.counted(3)

    def counted(self, kills: int) -> None:
        """Set the counter of both versions, under the root: a container's view."""
        for counter in self._counters:
            partial = counter.with_suffix(".partial")
            partial.write_text(f"low 0\noom 1\noom_kill {kills}\n")
            partial.replace(counter)

    def logged(self, pid: int, name: str = "python3") -> None:
        """Write what the kernel writes when it kills a process."""
        record = f"Out of memory: Killed process {pid} ({name}) total-vm:9kB, anon-rss:2097152kB, file-rss:0kB"
        with self.log.open("a") as log:
            log.write(f"3,1,1,-;{record}\n SUBSYSTEM=none\n")

    def reported(self, pid: int, name: str = "JetsamEvent-2026-01-02-030405.ips") -> None:
        """Write what macOS writes when it has killed a process."""
        self.reports.mkdir(exist_ok=True)
        process = {"pid": pid, "name": "python3.12", "reason": "per-process-limit", "rpages": 65536}
        body = {"memoryStatus": {"pageSize": 16384}, "processes": [process]}
        partial = self.reports / "partial"
        partial.write_text(f"{json.dumps({'bug_type': '298'})}\n{json.dumps(body)}")
        partial.replace(self.reports / name)

    def sources(self, system: OperatingSystem = OperatingSystem.LINUX, late_within_s: float = 20.0) -> MemorySources:
        """Where to look."""
        return MemorySources(
            system=system,
            interval_s=0.02,
            # Busy machines start threads late, and a test is about what is read, not how soon.
            examine_within_s=5.0,
            late_interval_s=0.05,
            late_within_s=late_within_s,
            cgroup_folder=self.cgroups,
            kernel_log=self.log,
            report_folders=(self.reports,),
        )


@contextmanager
def real_cgroup(limit_bytes: int) -> Iterator[Path]:
    """A cgroup of our own with a memory limit, below the one that we are in; skips where none can be made.

    It must be empty of processes when it is left.
    """
    folder = _our_memory_cgroup() / f"ringwarden-test-{os.getpid()}"
    version_1 = (_CGROUPS / "memory").is_dir()
    try:
        folder.mkdir()
    except OSError as problem:
        pytest.skip(f"needs the right to make a memory cgroup: {problem}")
    try:
        limit = folder / ("memory.limit_in_bytes" if version_1 else "memory.max")
        if not limit.exists():
            pytest.skip("needs a memory controller that is delegated to us")
        limit.write_text(str(limit_bytes))
        yield folder
    finally:
        folder.rmdir()


def _our_memory_cgroup() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _CGROUPS / "memory" / path.strip("/")
        if not controllers and not (_CGROUPS / "memory").is_dir():
            return _CGROUPS / path.strip("/")
    return _CGROUPS / "none"
