"""Looking things up in a journal, whether or not somebody writes it at the moment."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from diagnostics.incident import Incident
from supervisor.journal.database import BUSY_TIMEOUT_S, JournalUnusable, check_ours
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, TaskRecord
from supervisor.journal.rows import Kind, record_of
from supervisor.journal.schema import SCHEMA_VERSION, TABLES, TAGGED_TABLES
from supervisor.journal.selection import Selection, condition
from supervisor.journal.tags import tag_names

# A reader holds no transaction open between rows that it hands out, so that the writer's log can be checkpointed.
_ROWS_AT_ONCE = 200


class NoJournalFile(JournalUnusable):
    """There is no journal yet."""


class JournalReader:
    """A read-only connection, for one thread. Never changes the file; does not hold up its writer. Everything blocks.

    Args:
        path: The database.

    Raises:
        NoJournalFile: There is none, or an empty one.
        JournalUnusable: It is of another version, of another program, broken, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise NoJournalFile(f"there is no journal at {path}")
        try:
            self._connection = _connect(path)
        except sqlite3.Error as problem:
            raise JournalUnusable(f"{path} cannot be read: {problem}") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def data_version(self) -> int:
        """Return a number that changes when somebody else has written."""
        return self._connection.execute("PRAGMA data_version").fetchone()[0]

    def tag_names(self) -> tuple[str, ...]:
        """Return the names of all tags in use."""
        found = self._connection.execute("SELECT name FROM pragma_table_info(?)", (TAGGED_TABLES[0],))
        return tuple(sorted(tag_names(name for (name,) in found)))

    def incidents(self, limit: int) -> tuple[Incident, ...]:
        """Return the newest incidents, newest first."""
        return self._all(Incident, "ORDER BY occurred_at DESC, incident_id DESC LIMIT ?", limit)

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident."""
        return self._first(Incident, "WHERE incident_id = ?", incident_id)

    def incident_of_task(self, task_id: str) -> Incident | None:
        """Return the newest incident that ended this task."""
        among = "SELECT incident_id FROM incident_tasks WHERE task_id = ?"
        return self._first(Incident, f"WHERE incident_id IN ({among}) ORDER BY occurred_at DESC", task_id)

    def task(self, task_id: str) -> TaskRecord | None:
        """Return the newest task with this id."""
        return self._first(TaskRecord, "WHERE task_id = ? ORDER BY started_at DESC", task_id)

    def newest_tasks(self, limit: int) -> tuple[TaskRecord, ...]:
        """Return the tasks that began last, newest first."""
        return self._all(TaskRecord, "ORDER BY started_at DESC LIMIT ?", limit)

    def tasks_of_incident(self, incident_id: str, limit: int) -> tuple[TaskRecord, ...]:
        """Return tasks that an incident ended, oldest first."""
        return self._all(TaskRecord, "WHERE incident_id = ? ORDER BY started_at LIMIT ?", incident_id, limit)

    def generation_of(self, incident: Incident) -> GenerationRecord | None:
        """Return the generation that an incident ended."""
        return self._first(GenerationRecord, "WHERE incident_id = ?", incident.incident_id)

    def generations(self, selection: Selection, limit: int) -> tuple[GenerationRecord, ...]:
        """Return generations, newest first; of a selection, its run, generation and times count."""
        wanted = Selection(
            run_id=selection.run_id, generation=selection.generation, since=selection.since, until=selection.until
        )
        where, values = condition(wanted, "started_at", "coalesce(ended_at, 9e99)")
        return self._all(GenerationRecord, f"{where} ORDER BY started_at DESC LIMIT ?", *values, limit)

    def captured_logs(self, selection: Selection, after: int = 0) -> Iterator[tuple[int, CapturedLog]]:
        """Yield captured logs in the order in which they were written, each with its position.

        Args:
            selection: Which ones.
            after: A position; only what was written after it.
        """
        yield from self._in_order(CapturedLog, selection, "started_at", "ended_at", after)

    def events(self, selection: Selection, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """Yield events in the order in which they were written, each with its position; tags do not apply."""
        yield from self._in_order(EventRecord, selection, "at", "at", after)

    def events_around(self, run_id: str, generation: int, limit: int) -> tuple[EventRecord, ...]:
        """Return the last events of a generation, oldest first."""
        where = "WHERE run_id = ? AND generation = ? ORDER BY event_id DESC LIMIT ?"
        return tuple(reversed(self._all(EventRecord, where, run_id, generation, limit)))

    def _in_order(
        self, kind: type[Kind], selection: Selection, began: str, ended: str, after: int
    ) -> Iterator[tuple[int, Kind]]:
        where, values = condition(selection, began, ended)
        rest = f"{where} {'AND' if where else 'WHERE'} rowid > ? ORDER BY rowid LIMIT {_ROWS_AT_ONCE}"
        while rows := self._rows(kind, rest, (*values, after)):
            for row in rows:
                after = row["_position"]
                yield after, record_of(kind, row)

    def _first(self, kind: type[Kind], rest: str, *values: Any) -> Kind | None:
        found = self._all(kind, f"{rest} LIMIT 1", *values)
        return found[0] if found else None

    def _all(self, kind: type[Kind], rest: str, *values: Any) -> tuple[Kind, ...]:
        try:
            return tuple(record_of(kind, row) for row in self._rows(kind, rest, values))
        except msgspec.DecodeError as problem:
            raise JournalUnusable(f"the journal holds a row that is none of ours: {problem}") from problem

    def _rows(self, kind: type[Kind], rest: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        # SQL text comes from this module and from checked tag names; what a person asked for is always a value.
        cursor = self._connection.execute(f"SELECT rowid AS _position, * FROM {TABLES[kind].name} {rest}", values)  # noqa: S608
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + "?mode=ro"
    if not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        # A copy on a read-only medium: SQLite cannot make its companions there, and nobody else can write.
        uri += "&immutable=1"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        check_ours(connection, path, SCHEMA_VERSION)
        _check_current(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_current(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise NoJournalFile(f"{path} is empty")
    if version < SCHEMA_VERSION:
        raise JournalUnusable(f"{path} is of an older ringwarden; `ringwarden up` brings it up to date")
