"""The journal's file in the hands of its one writer: batches of records, each a transaction."""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from diagnostics.incident import Incident
from supervisor.journal.database import is_corruption, open_for_writing
from supervisor.journal.records import CapturedLog, Record, TaskOutcome, TaskRecord
from supervisor.journal.rows import row_of
from supervisor.journal.schema import TABLES, TAGGED_TABLES
from supervisor.journal.tags import column_of, tag_names

# What a single record can be wrong about; everything else is the disk's fault.
_BAD_RECORD = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    OverflowError,
    ValueError,
)


class Finding(NamedTuple):
    """Something about the file that has to be said: an event's kind, and a sentence."""

    kind: str
    text: str


class Store:
    """One connection for writing. Everything blocks; used by one thread at a time.

    Args:
        path: The database.
        run_id: Who writes.
        max_file_bytes: The database never grows beyond this; SQLite then says that it is full.
    """

    def __init__(self, path: Path, run_id: str, max_file_bytes: int) -> None:
        self.path = path
        self._run_id = run_id
        self._max_file_bytes = max_file_bytes
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._is_trusted = False
        self.tag_names: frozenset[str] = frozenset()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._connection is None:
            raise RuntimeError("the journal is not open; call open() first")
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, and its file is still the one at `path`."""
        return self._connection is not None and self._identity == _identity(self.path)

    def open(self) -> list[Finding]:
        """Open, check and migrate; return what was found there: a broken file, a writer that was killed.

        Raises:
            JournalUnusable: The file cannot be the journal, and was not touched.
            sqlite3.Error: The disk refuses.
            OSError: The disk refuses.
        """
        self.abandon()
        is_same_file = self._identity == _identity(self.path)
        opened = open_for_writing(self.path, check=not (self._is_trusted and is_same_file))
        self._is_trusted = True
        self._connection = opened.connection
        self._identity = _identity(self.path)
        try:
            page_bytes = self.connection.execute("PRAGMA page_size").fetchone()[0]
            self.connection.execute(f"PRAGMA max_page_count = {max(1, self._max_file_bytes // page_bytes)}")
            self._learn_tags()
            found = self._note_the_killed()
        except BaseException:
            self.abandon()
            raise
        if opened.moved_to is not None:
            sentence = f"{self.path} was broken and is now {opened.moved_to.name}; a new journal was begun"
            found.append(Finding("journal_corrupt", sentence))
        return found

    def write(self, records: Sequence[Record]) -> list[tuple[Record, str]]:
        """Write a batch, whole or not at all; return the records that no journal could hold, each with the reason.

        A batch with an incident is on the disk itself when this returns; others are there within a checkpoint, and
        outlive this process in any case.

        Raises:
            sqlite3.Error: The disk refuses; nothing of the batch is written.
        """
        connection = self.connection
        durable = any(isinstance(record, Incident) for record in records)
        if durable:
            connection.execute("PRAGMA synchronous = FULL")
        try:
            return self._write(connection, records)
        finally:
            if durable:
                connection.execute("PRAGMA synchronous = NORMAL")

    def _write(self, connection: sqlite3.Connection, records: Sequence[Record]) -> list[tuple[Record, str]]:
        refused: list[tuple[Record, str]] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._add_tag_columns(records)
            for record in records:
                try:
                    self._put(connection, record)
                except _BAD_RECORD as problem:
                    refused.append((record, str(problem)))
            connection.execute("COMMIT")
        except BaseException as problem:
            self._is_trusted = not is_corruption(problem)
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return refused

    def _put(self, connection: sqlite3.Connection, record: Record) -> None:
        row = row_of(record)
        table = TABLES[type(record)].name
        names = ", ".join(f'"{name}"' for name in row)
        # Names are field names of our own, or tags that were checked.
        connection.execute(
            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
            tuple(row.values()),
        )
        if isinstance(record, Incident):
            connection.executemany(
                "INSERT OR IGNORE INTO incident_tasks (incident_id, task_id) VALUES (?, ?)",
                [(row["incident_id"], task_id) for task_id in record.task_ids],
            )

    def _add_tag_columns(self, records: Iterable[Record]) -> None:
        wanted = {name for record in records if isinstance(record, TaskRecord | CapturedLog) for name in record.tags}
        if wanted <= self.tag_names:
            return
        self._learn_tags()  # another process may have added some
        for name in sorted(wanted - self.tag_names):
            column = column_of(name)
            for table in TAGGED_TABLES:
                self.connection.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" TEXT')
                self.connection.execute(
                    f'CREATE INDEX "{table}_by_{column}" ON {table} ("{column}") WHERE "{column}" IS NOT NULL'
                )
        self._learn_tags()

    def _learn_tags(self) -> None:
        found = self.connection.execute("SELECT name FROM pragma_table_info(?)", (TAGGED_TABLES[0],))
        self.tag_names = tag_names(name for (name,) in found)

    def _note_the_killed(self) -> list[Finding]:
        """Sign in, and close the entries of writers that ended without signing out: no task stays without an end.

        Nobody knows when such a task ended; what is written is when that was found out.
        """
        connection = self.connection
        found: list[Finding] = []
        connection.execute("BEGIN IMMEDIATE")
        open_writers = connection.execute(
            "SELECT run_id, pid, opened_at FROM writers WHERE closed_at IS NULL AND run_id <> ?", (self._run_id,)
        ).fetchall()
        for run_id, pid, opened_at in open_writers:
            if _is_alive(pid, opened_at):
                continue
            sentence = (
                f"{run_id} (pid {pid}) was killed while it wrote the journal; "
                "of its records, the last tenth of a second may be missing"
            )
            found.append(Finding("journal_unclean_end", sentence))
            now = time.time()
            connection.execute("UPDATE writers SET closed_at = ?, clean = 0 WHERE run_id = ?", (now, run_id))
            connection.execute(
                "UPDATE tasks SET ended_at = ?, outcome = ?, detail = ? WHERE run_id = ? AND outcome IS NULL",
                (now, TaskOutcome.FAILED, f"The ringwarden that served it (pid {pid}) was killed.", run_id),
            )
        connection.execute(
            "INSERT INTO writers (run_id, pid, opened_at) VALUES (?, ?, ?) "
            "ON CONFLICT (run_id) DO UPDATE SET closed_at = NULL, clean = NULL",
            (self._run_id, os.getpid(), time.time()),
        )
        connection.execute("COMMIT")
        return found

    def close(self) -> None:
        """Sign out and close. Never raises; a disk that refuses makes the next start say so."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute(
                    "UPDATE writers SET closed_at = ?, clean = 1 WHERE run_id = ?", (time.time(), self._run_id)
                )
        self.abandon()

    def abandon(self) -> None:
        """Close without a word. Never raises."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_alive(pid: int, opened_at: float) -> bool:
    """Return whether the process that wrote its pid then still runs; another one may have got the number since."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= opened_at + 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
