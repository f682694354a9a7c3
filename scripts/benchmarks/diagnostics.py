"""How fast stderr is read and classified on one core, and what it holds in memory."""

import os
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator

import anyio

from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from scripts.benchmarks.row import Row
from supervisor.process.drain import drain

NAME = "diagnostics"
BUDGET_MB_PER_S = 200.0
BUDGET_GROWTH_KB = 1000.0
CHUNK_BYTES = 64 * 1024
REPETITIONS = 3
WARNINGS = "a warning on every line"
NOISE = {
    "log lines of 100 bytes": b"".join(
        b"2026-11-21 00:25:59.%03d | INFO     | runner:run:%d - decode step %d of 4096, 17.3 tokens/s, cache 0.42 GB\n"
        % (number % 1000, number, number)
        for number in range(2000)
    ),
    "lines of 4000 bytes": (b"the quick brown fox jumps over the lazy dog " * 91)[:4000].join([b"", b"\n"]) * 50,
    "lines of 10 bytes": b"step %04d\n" * 20_000 % tuple(number % 10_000 for number in range(20_000)),
    "progress bars without a newline": b"".join(
        b"\rFetching 18 files: %3d%%|#####     | 9/18 [00:01<00:01, 8.3it/s]" % (number % 100) for number in range(2000)
    ),
    "no newline at all": b"x" * 200_000,
    WARNINGS: b"WARNING: transient error number 12 while polling, trying again\n" * 2000,
}
PIPED = "log lines of 100 bytes"


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield a rate for each kind of noise, one through a real pipe, and the growth of memory."""
    megabytes = 1 if quick else 200
    for name, noise in NOISE.items():
        size = max(1, megabytes // 10) if name == WARNINGS else megabytes
        rates = [_rate(noise, size) for _ in range(REPETITIONS)]
        how = f"{size} MB in pieces of 64 KiB through DiagnosticCollector; MB per second of processor time, median"
        yield _row(f"stderr classified, {name}", rates, how)
    rates = [_piped_rate(NOISE[PIPED], megabytes) for _ in range(REPETITIONS)]
    yield _row(
        f"stderr drained and classified, {PIPED}", rates, f"{megabytes} MB through a pipe; reader's processor time"
    )
    yield _growth(10 if quick else 1000)


def _row(what: str, rates: list[float], how: str) -> Row:
    details = {"min": min(rates), "max": max(rates)}
    value = statistics.median(rates)
    return Row(NAME, what, value, "MB/s", BUDGET_MB_PER_S, len(rates), how, at_least=True, details=details)


def _pieces(noise: bytes) -> list[bytes]:
    return [noise[start : start + CHUNK_BYTES] for start in range(0, len(noise), CHUNK_BYTES)]


def _rate(noise: bytes, megabytes: int) -> float:
    pieces = _pieces(noise)
    rounds = max(1, megabytes * 1_000_000 // len(noise))
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    started = time.process_time()
    for _ in range(rounds):
        for piece in pieces:
            collector.feed(piece)
    collector.finish()
    return rounds * len(noise) / (time.process_time() - started) / 1e6


_WRITER = """
import os, sys
noise = sys.stdin.buffer.read()
for _ in range(int(sys.argv[1])):
    view = memoryview(noise)
    while view:
        view = view[os.write(1, view):]
"""


def _piped_rate(noise: bytes, megabytes: int) -> float:
    rounds = max(1, megabytes * 1_000_000 // len(noise))
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(rounds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        started = time.process_time()
        writer.stdin.write(noise)
        writer.stdin.close()
        os.set_blocking(writer.stdout.fileno(), False)
        anyio.run(drain, writer.stdout.fileno(), collector.feed)
        collector.finish()
        return rounds * len(noise) / (time.process_time() - started) / 1e6


def _growth(megabytes: int) -> Row:
    """Both what Python allocates, over a tenth of it, and what the process grows by."""
    piece = b"x" * CHUNK_BYTES
    pieces = megabytes * 1_000_000 // CHUNK_BYTES
    before_kb = _largest_resident_kb()
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    for _ in range(pieces):
        collector.feed(piece)
    grown_kb = _largest_resident_kb() - before_kb
    traced = DiagnosticCollector(OperatingSystem.LINUX)
    tracemalloc.start()
    for _ in range(pieces // 10):
        traced.feed(piece)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Row(
        NAME,
        f"memory for {megabytes} MB without a newline",
        peak_bytes / 1000,
        "kB",
        BUDGET_GROWTH_KB,
        1,
        "peak of what Python allocated; resident growth is the process's high-water mark over all of it",
        details={"resident growth kB": grown_kb},
    )


def _largest_resident_kb() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1000 if sys.platform == "darwin" else float(used)
