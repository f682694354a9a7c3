"""A process that writes a journal, for tests that kill it or take its disk away: `python -m ... PATH RUN_ID MODE`."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from supervisor.journal.journal import Journal, JournalLimits
from tests.supervisor.journal.samples import event, incident

RECORDS = 10_000
DEADLINE_S = 60.0
NOW = time.time()


def tell(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_many(path: Path, run_id: str) -> None:
    """Write numbered events, telling how many are written and how many of them are in the file; wait to be killed."""
    journal = Journal(path, run_id=run_id, limits=JournalLimits(max_batch_records=100, max_batch_s=0.02))
    for number in range(RECORDS):
        journal.write(event(number, run_id=run_id, at=NOW))
        if number % 50 == 0:
            tell(f"written {number}")
        if number % 700 == 0 and journal.flush(DEADLINE_S):
            tell(f"flushed {number}")
    tell(f"written {RECORDS}")
    time.sleep(DEADLINE_S)


def file_limit(limit_bytes: int) -> None:
    """Let no file grow beyond this: the kernel's own refusal (EFBIG), which ends with the next call."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))


def until(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError
        time.sleep(0.01)


def lose_the_disk(path: Path, run_id: str) -> None:
    """Write, lose the disk, go on writing, get it back."""
    said: list[str] = []
    limits = JournalLimits(max_batch_s=0.02, retry_s=0.05, max_queued_records=300)
    journal = Journal(path, run_id=run_id, limits=limits, observer=said.append)
    journal.write(event(0, run_id=run_id, at=NOW, text="before"))
    journal.flush(DEADLINE_S)
    file_limit(16 * 1024)
    slowest_s = 0.0
    for number in range(1000):
        before = time.monotonic()
        journal.write(event(number, run_id=run_id, at=NOW, kind="while_full", text="x" * 200))
        slowest_s = max(slowest_s, time.monotonic() - before)
    for number in range(5):
        journal.write(incident(number, occurred_at=NOW))
    until(lambda: any("cannot be written" in sentence for sentence in said))
    tell(f"refused, flushed {journal.flush(0.3)}")
    file_limit(resource.RLIM_INFINITY)
    until(lambda: any("written again" in sentence for sentence in said))
    tell(f"closed {journal.close()}")
    for sentence in said:
        tell(f"said {sentence}")
    tell(f"slowest_s {slowest_s}")


if __name__ == "__main__":
    {"many": write_many, "full": lose_the_disk}[sys.argv[3]](Path(sys.argv[1]), sys.argv[2])
