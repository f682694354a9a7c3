"""Opening the journal's file: nothing foreign is touched, nothing newer is changed, nothing broken is thrown away."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from supervisor.journal.schema import APPLICATION_ID, MIGRATIONS

BUSY_TIMEOUT_S = 5.0
# A log that a burst made long shrinks to this at the next checkpoint.
_WAL_LIMIT_BYTES = 16 * 1024 * 1024
_MAX_CORRUPT_KEPT = 3
_COMPANIONS = ("-wal", "-shm")


class JournalUnusable(Exception):
    """The file cannot serve as the journal, and was left as it is. The message names the file and the reason."""


class OpenedDatabase(msgspec.Struct, frozen=True):
    """A connection ready for writing. `moved_to` is where a broken predecessor went."""

    connection: sqlite3.Connection
    moved_to: Path | None


def open_for_writing(
    path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS, *, check: bool = True
) -> OpenedDatabase:
    """Open or make the database, check it, and bring its schema up to date. Blocks.

    `check` reads the whole file; one that was checked by this process need not be read again.

    The connection may be used by one thread at a time; transactions are begun explicitly.

    Raises:
        JournalUnusable: Made by a newer version, by another program, or where the file system cannot do WAL.
        sqlite3.Error: The disk refuses.
        OSError: The disk refuses.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return OpenedDatabase(_open(path, migrations, check=check), None)
    except sqlite3.DatabaseError as problem:
        if not is_corruption(problem):
            raise
    moved_to = _move_aside(path)
    return OpenedDatabase(_open(path, migrations, check=False), moved_to)


def is_corruption(problem: BaseException) -> bool:
    """Return whether SQLite says that the file itself is broken."""
    code = getattr(problem, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the schema up to the last of `migrations`, each in a transaction of its own. Needs autocommit mode."""
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read inside the transaction: another process may be migrating, too.
            version = _pragma(connection, "user_version")
            if version < len(migrations):
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        if version >= len(migrations) - 1:
            return


def check_ours(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    """Check, reading only, that the file is a journal of this version or an older one, or empty.

    Raises:
        JournalUnusable: It is not.
    """
    version, owner = _pragma(connection, "user_version"), _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if owner != APPLICATION_ID and (owner or version or tables):
        raise JournalUnusable(f"{path} is a database of another program; move it away")
    if version > newest:
        raise JournalUnusable(
            f"{path} has schema version {version}, made by a newer ringwarden; this one knows up to {newest}. "
            "Use that version, or another state folder"
        )


def _open(path: Path, migrations: Sequence[Sequence[str]], *, check: bool) -> sqlite3.Connection:
    # Made here so that nobody else can read it; SQLite gives its companions the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        check_ours(connection, path, len(migrations))
        _configure(connection, path)
        if check:
            _quick_check(connection)
        migrate(connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


class _Corrupt(sqlite3.DatabaseError):
    """What quick_check found, in the shape of SQLite's own errors."""

    sqlite_errorcode: int = sqlite3.SQLITE_CORRUPT


def _quick_check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise _Corrupt(verdict)


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        # Both have to come before the first table.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalUnusable(f"{path} is on a file system that cannot do WAL; use a state folder on a local disk")
    connection.execute("PRAGMA synchronous = NORMAL")
    # On macOS an ordinary fsync leaves data in the drive's cache, in any order; a no-op elsewhere.
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _move_aside(path: Path) -> Path:
    """Rename a broken database with its companions: it is evidence, and may be rescued by hand."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(target)
    for suffix in _COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{target}{suffix}")
    _forget_old_evidence(path)
    return target


def _forget_old_evidence(path: Path) -> None:
    kept = [
        found for found in sorted(path.parent.glob(f"{path.name}.corrupt-*")) if not found.name.endswith(_COMPANIONS)
    ]
    for old in kept[:-_MAX_CORRUPT_KEPT]:
        for suffix in ("", *_COMPANIONS):
            with suppress(OSError):
                Path(f"{old}{suffix}").unlink()
