"""The journal as everybody else sees it: hand a record over and forget about it."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from diagnostics.incident import Incident
from supervisor.journal.backlog import Backlog
from supervisor.journal.database import JournalUnusable
from supervisor.journal.records import CapturedLog, EventRecord, Record, TaskRecord
from supervisor.journal.retention import forget
from supervisor.journal.store import Store
from supervisor.journal.tags import TagNames

_DISK_TROUBLE = (sqlite3.Error, OSError, JournalUnusable)


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one journal.

    A batch is written when it has `max_batch_records`, or `max_batch_s` after its first record. `max_queued_*` bound
    what waits in memory. Rows older than `max_age_s` go, and the oldest ones when they fill more than `max_bytes`;
    retention runs every `retention_every_s`. The file never grows beyond `max_file_bytes`. A disk that refuses is tried
    again every `retry_s`.
    """

    max_batch_records: int = 500
    max_batch_s: float = 0.1
    max_queued_records: int = 20_000
    max_queued_bytes: int = 64 * 1024 * 1024
    max_age_s: float = 30 * 86_400.0
    max_bytes: int = 256 * 1024 * 1024
    max_file_bytes: int = 1024 * 1024 * 1024
    max_tag_columns: int = 64
    retention_every_s: float = 60.0
    retry_s: float = 1.0


_DEFAULT_LIMITS = JournalLimits()


class Journal:
    """Implements `supervisor.journal.records.JournalSink` over an SQLite file, with one thread that writes.

    Making one blocks while the file is opened and checked, and never raises because of the disk or the file: when
    they cannot be used, `observer` hears why, the most important records stay in bounded memory, and the file is
    tried again until it works.

    Args:
        path: The database file; its folder is made when missing.
        run_id: Names this run; events of the journal's own carry it.
        limits: The bounds.
        observer: Takes one sentence each time something about the journal itself has to be said; called from any
            thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        run_id: str,
        limits: JournalLimits = _DEFAULT_LIMITS,
        observer: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.run_id = run_id
        self._limits = limits
        self._observer = observer
        self._backlog = Backlog(max_records=limits.max_queued_records, max_bytes=limits.max_queued_bytes)
        self._tags = TagNames(limits.max_tag_columns)
        self._changed = threading.Condition()
        self._urgent = False
        self._closing = False
        self._first_waiting_at = 0.0
        self._in_hand = 0
        # Why the disk refused; kept until everything that waited is written, so that a disk with room for a few
        # records only is not said to be well again and again.
        self._refusal: str | None = None
        self._retry_later = False
        self._said_dropped: Counter[str] = Counter()
        self._retention_due_at = time.monotonic()
        self._store = Store(path, run_id, limits.max_file_bytes)
        self._try_to_open()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The database file."""
        return self._store.path

    def write(self, record: Record) -> None:
        """Keep a record; a later one with the same key replaces it. Any thread may call it; it never waits for a disk.

        Raises:
            TagError: A tag's name or value breaks the rule, or is one name too many; nothing of the record is kept.
        """
        with self._changed:
            if isinstance(record, TaskRecord | CapturedLog) and record.tags:
                self._tags.reserve(record.tags)
            if not self._backlog:
                self._first_waiting_at = time.monotonic()
            self._backlog.put(record)
            self._urgent = self._urgent or isinstance(record, Incident)
            if self._urgent or len(self._backlog) in (1, self._limits.max_batch_records):
                self._changed.notify_all()

    def check_tags(self, tags: Mapping[str, str]) -> None:
        """Check tags before work is begun under them, so that no record is refused at its end.

        Raises:
            TagError: See `write`.
        """
        with self._changed:
            self._tags.reserve(tags)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was written before is in the file; False when that takes longer than `timeout_s`."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._backlog and not self._in_hand, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write the rest and leave; False when some of it is lost, or the disk does not answer. Blocks so long at most.

        What is written after it is dropped.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        left = len(self._backlog) + self._in_hand
        if left:
            self._observer(f"{left} records could not be written to {self.path} before the end")
        return left == 0 and not self._thread.is_alive()

    def note(self, kind: str, text: str) -> None:
        """Say something about what is kept, to the observer and as an event. Any thread may call it; never blocks."""
        self._observer(text)
        self.write(EventRecord(run_id=self.run_id, at=time.time(), kind=kind, text=text))

    # --- the writer's thread ---

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if batch:
                self._write(batch)
            elif batch is None:
                break
            self._retain()
        self._store.close()

    def _next_batch(self) -> list[Record] | None:
        """Wait for a batch; empty when it is time for other work, None when everything is done."""
        limits = self._limits
        with self._changed:
            if self._retry_later and not self._closing:
                self._changed.wait_for(lambda: self._closing, limits.retry_s)
            elif not self._backlog and not self._closing:
                self._changed.wait(max(0.0, self._retention_due_at - time.monotonic()))
            if not self._backlog:
                return None if self._closing else []
            while not (self._urgent or self._closing or len(self._backlog) >= limits.max_batch_records):
                wait_s = self._first_waiting_at + limits.max_batch_s - time.monotonic()
                if wait_s <= 0 or not self._changed.wait(wait_s):
                    break
            batch = self._backlog.take(limits.max_batch_records)
            self._in_hand = len(batch)
            self._urgent = self._urgent and len(self._backlog) > 0
            return batch

    def _write(self, batch: list[Record]) -> None:
        try:
            if not self._store.is_open:
                self._open()
            refused = self._store.write(batch)
        except _DISK_TROUBLE as problem:
            self._refused(batch, problem)
            return
        self._retry_later = False
        with self._changed:
            self._in_hand = 0
            self._changed.notify_all()
        for record, reason in refused:
            self.note("journal_record_refused", f"a {type(record).__name__} cannot be kept: {reason}")
        self._accepted()

    def _open(self) -> None:
        for finding in self._store.open():
            self.note(finding.kind, finding.text)
        with self._changed:
            self._tags.learn(self._store.tag_names)

    def _try_to_open(self) -> None:
        try:
            self._open()
        except _DISK_TROUBLE as problem:
            self._refused([], problem)

    def _refused(self, batch: list[Record], problem: Exception) -> None:
        """Keep the batch in memory, say it once, and try a fresh connection next time."""
        self._store.abandon()
        self._retry_later = True
        with self._changed:
            self._backlog.put_back(batch)
            self._in_hand = 0
            if self._closing:
                # That was the last attempt; `close` says what is left.
                self._in_hand = len(self._backlog)
                self._backlog.take(self._in_hand)
            self._changed.notify_all()
        if self._refusal is None:
            held = f"at most {self._limits.max_queued_records} records are kept in memory, incidents first"
            self._observer(f"the journal {self.path} cannot be written: {problem}; {held}")
        self._refusal = str(problem)

    def _accepted(self) -> None:
        """Once all is written: say that the disk takes records again, or could not keep up, and what was lost."""
        with self._changed:
            if self._backlog:
                return
            lost = self._backlog.dropped - self._said_dropped
        if self._refusal is not None:
            reason, self._refusal = self._refusal, None
            self.note("journal_recovered", f"the journal is written again, after: {reason}; {_count_text(lost)}")
        elif lost:
            self.note("journal_dropped", f"the disk could not keep up; {_count_text(lost)}")
        self._said_dropped += lost

    def _retain(self) -> None:
        """Forget a piece of what is too old or too much, when it is time and the disk takes writes."""
        if self._refusal is not None or time.monotonic() < self._retention_due_at or not self._store.is_open:
            return
        limits = self._limits
        try:
            more = forget(self._store.connection, older_than=time.time() - limits.max_age_s, max_bytes=limits.max_bytes)
        except _DISK_TROUBLE as problem:
            self._refused([], problem)
            return
        self._retention_due_at = time.monotonic() + (0.0 if more else limits.retention_every_s)


def _count_text(lost: Mapping[str, int]) -> str:
    if not lost:
        return "nothing was lost"
    return "lost: " + ", ".join(f"{count} {name}" for name, count in sorted(lost.items()))
