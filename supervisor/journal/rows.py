"""Records to rows of SQLite and back. Pure."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from diagnostics.incident import Incident
from supervisor.journal.records import Record
from supervisor.journal.schema import INCIDENT_COLUMNS, TABLES
from supervisor.journal.tags import TAG_PREFIX, column_of

SqlValue = str | int | float | None
Kind = TypeVar("Kind", bound=Record)

# A record without its texts, roughly, in memory and on disk.
_BASE_BYTES = 512


def row_of(record: Record) -> dict[str, SqlValue]:
    """Return the columns of a record. Tag names must have been checked; text that is no Unicode is escaped."""
    if isinstance(record, Incident):
        row = {name: getattr(record, name) for name in INCIDENT_COLUMNS}
        row["document"] = msgspec.json.encode(record).decode()
    else:
        row = msgspec.structs.asdict(record)
        for name, value in row.pop("tags", {}).items():
            row[column_of(name)] = value
    return {name: _storable(value) if isinstance(value, str) else value for name, value in row.items()}


def record_of(kind: type[Kind], row: Mapping[str, Any]) -> Kind:
    """Return the record of a row that holds at least the table's columns.

    Raises:
        msgspec.DecodeError: The row was written by something else.
    """
    if kind is Incident:
        return msgspec.json.decode(row["document"], type=kind)
    values = {name: row[name] for name in TABLES[kind].columns}
    if TABLES[kind].has_tags:
        values["tags"] = {
            name.removeprefix(TAG_PREFIX): value
            for name, value in row.items()
            if name.startswith(TAG_PREFIX) and value is not None
        }
    # SQLite has no booleans.
    return msgspec.convert(values, kind, strict=False)


def weight_bytes(record: Record) -> int:
    """Return about how much memory a record holds."""
    if isinstance(record, Incident):
        certificates = sum(
            _BASE_BYTES + len(known.stacks) + sum(map(len, known.stderr_tail)) for known in record.certificates
        )
        return _BASE_BYTES + certificates + sum(map(len, record.evidence)) + sum(map(len, record.task_ids))
    return _BASE_BYTES + sum(len(value) for value in msgspec.structs.astuple(record) if isinstance(value, str))


def _storable(text: str) -> str:
    """Return `text` as SQLite can hold it: a lone surrogate, as undecodable file names have, is escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return str(text)
