"""Every test of the supervisor's shells gives back what it took: descriptors, threads, children."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

DEADLINE_S = 20.0


@pytest.fixture
def anyio_backend() -> str:
    """The shells run on asyncio."""
    return "asyncio"


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when `condition` holds; fail with `what` when it does not within the deadline."""
    ends_at = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends_at, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


def open_descriptors() -> set[str]:
    """What this process has open, without what belongs to the machinery of looking."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    return {entry.name for entry in folder.iterdir() if _is_open(int(entry.name))}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a descriptor, a non-daemon thread, a zombie or a descendant."""
    descriptors, threads = open_descriptors(), threading.active_count()
    children = set(psutil.Process().children(recursive=True))
    yield
    wait_until(
        lambda: set(psutil.Process().children(recursive=True)) <= children, "all started processes are gone, reaped"
    )
    wait_until(lambda: len(open_descriptors()) <= len(descriptors), "all opened descriptors are closed")
    # anyio keeps worker threads of its own for a while; they end with the loop.
    wait_until(lambda: threading.active_count() <= threads, "all started threads have ended")
