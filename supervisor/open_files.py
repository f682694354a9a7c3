"""How many files this process may open: macOS gives a process 256, and a head needs two connections for each node."""

import resource
from contextlib import suppress

WANTED_FILES = 10_240
"""What macOS allows at most by default (OPEN_MAX in its `sys/syslimits.h`)."""


def allow_many_files(wanted: int = WANTED_FILES) -> int:
    """Raise the soft limit as far as `wanted`, or as the hard limit lets us; return what it is then. Never lowers it.

    Children inherit it. A system that refuses is no error: whoever runs out of files is told so when it happens.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
