"""macOS: footprint from the kernel's accounting, kills from the jetsam reports that it writes some seconds later."""

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from diagnostics.jetsam_report import MAX_REPORT_BYTES, parse_jetsam_report
from diagnostics.memory_evidence import MemoryKill
from supervisor.memory.reader import MemorySample, MemorySources, SystemWords

_MAX_FOLDER_ENTRIES = 10_000
_MAX_REPORTS = 8
# A report's time is that of its writing, after the death; file systems and clocks may round a little.
_CLOCK_SLACK_S = 2.0
_RUSAGE_INFO_V0 = 0


class _ResourceUsage(ctypes.Structure):
    """`struct rusage_info_v0` (xnu bsd/sys/resource.h)."""

    _fields_ = [
        ("ri_uuid", ctypes.c_uint8 * 16),
        *((name, ctypes.c_uint64) for name in ("ri_user_time", "ri_system_time", "ri_pkg_idle_wkups")),
        *((name, ctypes.c_uint64) for name in ("ri_interrupt_wkups", "ri_pageins", "ri_wired_size")),
        *((name, ctypes.c_uint64) for name in ("ri_resident_size", "ri_phys_footprint")),
        *((name, ctypes.c_uint64) for name in ("ri_proc_start_abstime", "ri_proc_exit_abstime")),
    ]


UsageCall = Callable[[int, int, object], int]
"""`proc_pid_rusage(pid, flavor, buffer)` of libproc (in libSystem): 0 when the buffer was filled."""


def system_usage_call() -> UsageCall | None:
    """The system's own function; None where there is none."""
    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None).proc_pid_rusage
        call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
        call.restype = ctypes.c_int
        return call
    return None


class DarwinMemoryReader:
    """One process. See `MemoryReader`.

    The footprint is `ri_phys_footprint`: what jetsam judges by, Metal's buffers included. The resident size, which
    leaves those out, stands in where the call fails.

    Args:
        pid: A living process of our own user.
        sources: Where reports are looked for.
        usage_call: The system's function.
    """

    def __init__(self, pid: int, sources: MemorySources, usage_call: UsageCall | None) -> None:
        self._pid = pid
        self._folders = tuple(folder.expanduser() for folder in sources.report_folders)
        self._usage_call = usage_call
        self.limit_bytes: int | None = psutil.virtual_memory().total
        self.name = ""

    def sample(self, now: float) -> MemorySample | None:
        """Read the footprint, and what the machine has left."""
        footprint_bytes = self._footprint() or self._resident()
        if not footprint_bytes:
            return None
        return MemorySample(now, footprint_bytes, psutil.virtual_memory().available)

    def examine(self, died_at_s: float, before: MemorySample | None) -> SystemWords:
        """Read the reports written since the death. That there is none yet means nothing."""
        del before
        died_at_epoch_s = time.time() - (time.monotonic() - died_at_s)
        kills: list[MemoryKill] = []
        for report in self._reports(died_at_epoch_s - _CLOCK_SLACK_S):
            with suppress(OSError), report.open("rb") as file:
                kills += parse_jetsam_report(file.read(MAX_REPORT_BYTES + 1), report.name)
        where = ", ".join(str(folder) for folder in self._folders)
        silence = (
            () if any(kill.pid == self._pid for kill in kills) else (f"jetsam reports in {where} (none names it)",)
        )
        return SystemWords(kills=tuple(kills), no_answer=silence)

    def close(self) -> None:
        """Nothing is held open."""

    def _footprint(self) -> int:
        usage = _ResourceUsage()
        if self._usage_call is None or self._usage_call(self._pid, _RUSAGE_INFO_V0, ctypes.addressof(usage)) != 0:
            return 0
        return int(usage.ri_phys_footprint)

    def _resident(self) -> int:
        try:
            return psutil.Process(self._pid).memory_info().rss
        except psutil.Error:
            return 0

    def _reports(self, since_epoch_s: float) -> list[Path]:
        """The newest reports that are not older than this."""
        found: list[tuple[float, Path]] = []
        for folder in self._folders:
            with suppress(OSError):
                for count, path in enumerate(folder.iterdir()):
                    if count >= _MAX_FOLDER_ENTRIES:
                        break
                    if path.name.startswith("JetsamEvent") and path.suffix == ".ips":
                        found.append((path.stat().st_mtime, path))
        return [path for written_s, path in sorted(found, reverse=True) if written_s >= since_epoch_s][:_MAX_REPORTS]
