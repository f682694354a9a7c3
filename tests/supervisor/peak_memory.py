"""How much memory this process has held at most."""

import resource
import sys
from pathlib import Path


def peak_mib() -> float:
    """The peak of the resident memory in MiB, of this program only."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Linux counts what the parent held before exec into ru_maxrss; VmHWM belongs to this program.
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
