"""What a supervisor costs that has nothing to do."""

import time
from collections.abc import Iterator

import psutil

from scripts.benchmarks.row import Row
from scripts.benchmarks.scripted import scripted_daemon

NAME = "idle"
RUNNERS = 8
BUDGET_PERCENT = 1.0
BUDGET_MB = 80.0


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield processor time and memory."""
    runners, seconds = (2, 0.5) if quick else (RUNNERS, 10.0)
    with scripted_daemon(ranks=runners) as daemon:
        process = psutil.Process(daemon.process.pid)
        before = _processor_seconds(process)
        time.sleep(seconds)
        percent = (_processor_seconds(process) - before) / seconds * 100
        resident_mb = process.memory_info().rss / 1e6
    how = f"`ringwarden up` with {runners} idle scripted runners, over {seconds:g} s; runners not counted"
    yield Row(NAME, f"idle daemon, {runners} runners: processor", percent, "% of a core", BUDGET_PERCENT, 1, how)
    yield Row(NAME, f"idle daemon, {runners} runners: resident memory", resident_mb, "MB", BUDGET_MB, 1, how)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
