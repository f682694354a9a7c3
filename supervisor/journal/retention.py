"""Forgetting: what is too old, and the oldest of what is too much, a bounded piece at a time."""

import sqlite3

from diagnostics.incident import Incident
from supervisor.journal.schema import TABLES, Table

_ROWS_AT_ONCE = 200
# By size, rows may be large: few at a time, so that not much more goes than has to.
_LARGE_ROWS_AT_ONCE = 20
_VACUUM_PAGES = 512
_INCIDENTS = TABLES[Incident]
_SIGNED_OUT_KEPT = 1000


def forget(connection: sqlite3.Connection, *, older_than: float, max_bytes: int) -> bool:
    """Do one bounded piece of work, in a transaction of its own; return whether there is more to do.

    Incidents go last: by size only when nothing else is left.

    Args:
        connection: In autocommit mode.
        older_than: Seconds since the epoch; rows from before go.
        max_bytes: What rows and indices may fill.

    Raises:
        sqlite3.Error: The disk refuses.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        deleted = sum(_delete_old(connection, older_than).values())
        if not deleted and used_bytes(connection) > max_bytes:
            deleted = _delete_oldest(connection)
        connection.execute(
            "DELETE FROM writers WHERE closed_at IS NOT NULL AND run_id NOT IN "
            "(SELECT run_id FROM writers ORDER BY opened_at DESC LIMIT ?)",
            (_SIGNED_OUT_KEPT,),
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return _give_back_pages(connection) or deleted > 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return what the database holds, without pages that are free."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes


def _give_back_pages(connection: sqlite3.Connection) -> bool:
    """Shorten the file by some of its free pages; return whether there were any."""
    if not connection.execute("PRAGMA freelist_count").fetchone()[0]:
        return False
    # Every page that is given back is a step of the statement.
    connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
    # The file itself becomes shorter at a checkpoint, which a quiet journal would not come to.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return True


def _delete_old(connection: sqlite3.Connection, older_than: float) -> dict[str, int]:
    return {
        table.name: _delete(connection, table, older_than=older_than, max_rows=_ROWS_AT_ONCE)
        for table in TABLES.values()
    }


def _delete_oldest(connection: sqlite3.Connection) -> int:
    """Delete from the table that reaches back farthest, so that all of them come to reach back equally far."""
    reach: dict[float, Table] = {}
    for table in TABLES.values():
        oldest = connection.execute(f"SELECT min({table.time_column}) FROM {table.name}").fetchone()[0]  # noqa: S608
        if oldest is not None and table is not _INCIDENTS:
            reach[oldest] = table
    chosen = reach[min(reach)] if reach else _INCIDENTS
    return _delete(connection, chosen, older_than=float("inf"), max_rows=_LARGE_ROWS_AT_ONCE)


def _delete(connection: sqlite3.Connection, table: Table, *, older_than: float, max_rows: int) -> int:
    # Names are our own, from the schema.
    return connection.execute(
        f"DELETE FROM {table.name} WHERE rowid IN (SELECT rowid FROM {table.name} "  # noqa: S608
        f"WHERE {table.time_column} < ? ORDER BY {table.time_column} LIMIT ?)",
        (older_than, max_rows),
    ).rowcount
