"""The tables of the journal: forward-only migrations, and what each record becomes. See docs/journal.md."""

from collections.abc import Mapping

import msgspec

from diagnostics.incident import Incident
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, Record, TaskRecord

# "RWjn": tells a journal from any other SQLite file.
APPLICATION_ID = 0x52576A6E

# Statement lists, one for each version; a released one never changes.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE incidents (
            incident_id TEXT NOT NULL PRIMARY KEY,
            occurred_at REAL NOT NULL,
            node TEXT NOT NULL,
            rank INTEGER,
            generation INTEGER NOT NULL,
            cause TEXT NOT NULL,
            phase TEXT NOT NULL,
            confidence TEXT NOT NULL,
            message TEXT NOT NULL,
            retryable INTEGER NOT NULL,
            model TEXT,
            recovered_after_s REAL,
            document TEXT NOT NULL)""",
        "CREATE INDEX incidents_by_time ON incidents (occurred_at)",
        """CREATE TABLE incident_tasks (
            incident_id TEXT NOT NULL REFERENCES incidents (incident_id) ON DELETE CASCADE,
            task_id TEXT NOT NULL,
            PRIMARY KEY (incident_id, task_id)) WITHOUT ROWID""",
        "CREATE INDEX incident_tasks_by_task ON incident_tasks (task_id)",
        """CREATE TABLE generations (
            run_id TEXT NOT NULL,
            generation INTEGER NOT NULL,
            model TEXT NOT NULL,
            world_size INTEGER NOT NULL,
            started_at REAL NOT NULL,
            ready_at REAL,
            ended_at REAL,
            incident_id TEXT,
            PRIMARY KEY (run_id, generation))""",
        "CREATE INDEX generations_by_time ON generations (started_at)",
        "CREATE INDEX generations_by_incident ON generations (incident_id) WHERE incident_id IS NOT NULL",
        """CREATE TABLE tasks (
            run_id TEXT NOT NULL,
            task_id TEXT NOT NULL,
            generation INTEGER NOT NULL,
            model TEXT NOT NULL,
            started_at REAL NOT NULL,
            ended_at REAL,
            outcome TEXT,
            detail TEXT,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            incident_id TEXT,
            PRIMARY KEY (task_id, run_id, started_at))""",
        "CREATE INDEX tasks_by_time ON tasks (started_at)",
        "CREATE INDEX tasks_by_incident ON tasks (incident_id) WHERE incident_id IS NOT NULL",
        """CREATE TABLE captured_logs (
            log_id TEXT NOT NULL PRIMARY KEY,
            run_id TEXT NOT NULL,
            task_id TEXT NOT NULL,
            generation INTEGER NOT NULL,
            rank INTEGER NOT NULL,
            node TEXT NOT NULL,
            started_at REAL NOT NULL,
            ended_at REAL NOT NULL,
            success INTEGER NOT NULL,
            stdout TEXT NOT NULL,
            stderr TEXT NOT NULL,
            python_logs TEXT NOT NULL,
            traceback TEXT NOT NULL,
            dropped_bytes INTEGER NOT NULL)""",
        "CREATE INDEX captured_logs_by_task ON captured_logs (task_id)",
        "CREATE INDEX captured_logs_by_generation ON captured_logs (run_id, generation, rank)",
        "CREATE INDEX captured_logs_by_time ON captured_logs (started_at)",
        """CREATE TABLE events (
            event_id INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            generation INTEGER,
            rank INTEGER,
            task_id TEXT,
            incident_id TEXT)""",
        "CREATE INDEX events_by_time ON events (at)",
        "CREATE INDEX events_by_incident ON events (incident_id) WHERE incident_id IS NOT NULL",
        """CREATE TABLE writers (
            run_id TEXT NOT NULL PRIMARY KEY,
            pid INTEGER NOT NULL,
            opened_at REAL NOT NULL,
            closed_at REAL,
            clean INTEGER)""",
    ),
)
SCHEMA_VERSION = len(MIGRATIONS)


class Table(msgspec.Struct, frozen=True):
    """Where a kind of record goes. `time_column` is its age; `columns` are the fixed ones, without tags."""

    name: str
    time_column: str
    columns: tuple[str, ...]
    has_tags: bool = False


INCIDENT_COLUMNS = (
    "incident_id", "occurred_at", "node", "rank", "generation", "cause", "phase", "confidence", "message", "retryable",
    "model", "recovered_after_s",
)  # fmt: skip


def _columns(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name != "tags")


TABLES: Mapping[type[Record], Table] = {
    Incident: Table("incidents", "occurred_at", (*INCIDENT_COLUMNS, "document")),
    GenerationRecord: Table("generations", "started_at", _columns(GenerationRecord)),
    TaskRecord: Table("tasks", "started_at", _columns(TaskRecord), has_tags=True),
    CapturedLog: Table("captured_logs", "started_at", _columns(CapturedLog), has_tags=True),
    EventRecord: Table("events", "at", _columns(EventRecord)),
}
TAGGED_TABLES = tuple(table.name for table in TABLES.values() if table.has_tags)
