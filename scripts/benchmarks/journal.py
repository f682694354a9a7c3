"""What the journal and the raw logs cost: records per second, one write() call, a runner's time when the disk hangs."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio

from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from scripts.benchmarks.row import Row, spread
from supervisor.journal.journal import Journal
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import CapturedLog, EventRecord, Record
from supervisor.process.drain import drain
from supervisor.raw_log_folder import RawLogFolder
from supervisor.raw_logs import RawLogs

NAME = "journal"
BUDGET_WRITE_MS = 1.0
BUDGET_BLOCKED_MS = 10.0
RUN = "run-bench"
DEADLINE_S = 300.0
OPENED_RECORDS = 200_000


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield rates, the length of calls, and how long a child that floods its stderr stands still."""
    records, megabytes = (500, 4) if quick else (15_000, 1000)
    with tempfile.TemporaryDirectory(prefix="rw-bench-") as name:
        folder = Path(name)
        yield from _writing("events", records, _event, folder)
        yield from _writing("captured logs of 2 kB", records, _captured, folder)
        yield _opening(2000 if quick else OPENED_RECORDS, folder)
        for how_written, newline in (("short lines", True), ("no newline", False)):
            yield from _flood(megabytes, how_written, folder / f"flood-{newline}", newline=newline)


def _event(number: int) -> Record:
    return EventRecord(run_id=RUN, at=time.time(), kind="state", text=f"event {number} of a sentence's usual length")


def _captured(number: int) -> Record:
    now = time.time()
    return CapturedLog(
        log_id=f"log-{number}", run_id=RUN, task_id=f"req-{number}", generation=1, rank=0, node="here", started_at=now,
        ended_at=now, success=True, stderr="a line of some length that a task wrote\n" * 50, tags={"user": "ann"},
    )  # fmt: skip


def _writing(what: str, count: int, make: Callable[[int], Record], folder: Path) -> Iterator[Row]:
    journal = Journal(folder / f"{what.split(maxsplit=1)[0]}.db", run_id=RUN)
    records = [make(number) for number in range(count)]
    calls_ms: list[float] = []
    started = time.perf_counter()
    for record in records:
        before = time.perf_counter()
        journal.write(record)
        calls_ms.append((time.perf_counter() - before) * 1000)
    assert journal.flush(DEADLINE_S)
    rate = count / (time.perf_counter() - started)
    journal.close()
    how = f"{count} records handed over as fast as they are taken, until all are in the file"
    yield Row(NAME, f"journal, {what}: written", rate, "records/s", None, 1, how)
    figures = spread(calls_ms)
    how = "length of each call meanwhile, the writer's thread competing for the interpreter"
    yield Row(
        NAME, f"journal, {what}: one write(), p99", figures["p99"], "ms", BUDGET_WRITE_MS, count, how, details=figures
    )


def _opening(count: int, folder: Path) -> Row:
    path = folder / "opened.db"
    journal = Journal(path, run_id=RUN)
    for number in range(count):
        journal.write(_event(number))
        if number % 10_000 == 0:
            assert journal.flush(DEADLINE_S)
    journal.close(DEADLINE_S)
    megabytes = path.stat().st_size / 1e6
    started = time.perf_counter()
    Journal(path, run_id=f"{RUN}-2").close()
    opened_ms = (time.perf_counter() - started) * 1000
    started = time.perf_counter()
    with JournalReader(path) as reader:
        reader.incidents(200)
    details = {"megabytes": megabytes, "reader_ms": (time.perf_counter() - started) * 1000}
    how = f"open, quick_check and close a journal of {count} events, in the page cache; reader: open and list incidents"
    return Row(NAME, "journal opened at a start", opened_ms, "ms", None, 1, how, details=details)


_CHILD = """
import json, os, sys, time
piece = (b"a short line\\n" * 5042 if sys.argv[2] == "lines" else b"x" * 65546)[:65536]
longest = 0.0
for _ in range(int(sys.argv[1])):
    before = time.perf_counter()
    view = memoryview(piece)
    while view:
        view = view[os.write(2, view):]
    longest = max(longest, time.perf_counter() - before)
sys.stdout.write(json.dumps(longest * 1000))
"""


def _flood(megabytes: int, what: str, folder: Path, *, newline: bool) -> Iterator[Row]:
    """A child floods stderr, which is classified as always: kept nowhere, on this disk, on a disk that hangs."""
    nothing_ms, _ = _longest(megabytes, lambda data: None, newline=newline)
    for disk in ("this disk", "a disk that hangs"):
        logs_folder = RawLogFolder(folder / disk.replace(" ", "-"))
        logs = RawLogs(logs_folder, RUN)
        path = logs_folder.file(RUN, 1, 0, "stderr")
        if disk != "this disk":
            path.parent.mkdir(parents=True)
            os.mkfifo(path)  # opening it for writing waits for ever, as long as nobody reads
        calls_ms: list[float] = []

        def keep(data: bytes, logs: RawLogs = logs, calls_ms: list[float] = calls_ms) -> None:
            before = time.perf_counter()
            logs.write(1, 0, "stderr", data)
            calls_ms.append((time.perf_counter() - before) * 1000)

        child_ms, seconds = _longest(megabytes, keep, newline=newline)
        _release(path, logs)
        details = {
            **spread(calls_ms),
            "child's longest write()": child_ms,
            "the same, nothing kept": nothing_ms,
            "seconds": seconds,
            "process at most, MB": _largest_resident_mb(),
            "kept %": 100 - 100 * logs.dropped_bytes / (megabytes * 1e6),
        }
        how = (
            f"{megabytes} MB of stderr, {what}, drained and classified on an event loop; longest call between two reads"
        )
        yield Row(
            NAME, f"raw log on {disk}, {what}: runner held up, longest", max(calls_ms), "ms", BUDGET_BLOCKED_MS,
            len(calls_ms), how, details=details,
        )  # fmt: skip


def _largest_resident_mb() -> float:
    """Linux counts in KiB, macOS in bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / 1e6 if sys.platform == "darwin" else largest / 1e3


def _longest(megabytes: int, consume: Callable[[bytes], None], *, newline: bool) -> tuple[float, float]:
    pieces = max(1, megabytes * 1_000_000 // 65536)
    command = [sys.executable, "-c", _CHILD, str(pieces), "lines" if newline else "none"]
    collector = DiagnosticCollector(OperatingSystem.LINUX)

    def take(data: bytes) -> None:
        consume(data)
        collector.feed(data)

    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        os.set_blocking(child.stderr.fileno(), False)
        anyio.run(drain, child.stderr.fileno(), take)
        return float(json.loads(child.stdout.read())), time.perf_counter() - started


def _release(path: Path, logs: RawLogs) -> None:
    """Let the writer's thread go: read what it could not write, if it hangs."""
    if not path.is_fifo():
        logs.close(DEADLINE_S)
        return

    def read() -> None:
        with path.open("rb") as pipe:
            while pipe.read(1 << 20):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    logs.close(DEADLINE_S)
    reader.join(DEADLINE_S)
