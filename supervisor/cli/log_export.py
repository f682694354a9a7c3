"""Captured logs as a file for other tools: one row for each, each tag a column."""

# pyarrow is an extra without types of its own.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnusedImport=false

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from supervisor.cli.errors import CommandError
from supervisor.cli.log_query import ExportFormat
from supervisor.exit_code import ExitCode
from supervisor.journal.records import CapturedLog
from supervisor.journal.rows import SqlValue, row_of
from supervisor.journal.schema import TABLES
from supervisor.journal.tags import column_of

_ROWS_AT_ONCE = 200
_TYPES = {"generation": "int64", "rank": "int64", "dropped_bytes": "int64", "success": "bool_"}
_TIMES = ("started_at", "ended_at")


def export_logs(
    logs: Iterable[CapturedLog], tag_names: Iterable[str], wanted: ExportFormat, output: Path | None
) -> int:
    """Write the logs; return how many. An existing file is never overwritten, a broken one is not left behind.

    Args:
        logs: What to write; read in pieces.
        tag_names: Tags that get a column, with or without a value.
        wanted: The format.
        output: The file; None is standard output, for JSON lines only.

    Raises:
        CommandError: The file exists or cannot be written, or pyarrow is not installed.
    """
    columns = (*TABLES[CapturedLog].columns, *map(column_of, tag_names))
    rows = ({**dict.fromkeys(columns), **row_of(log)} for log in logs)
    if wanted is ExportFormat.JSONL and output is None:
        return _write_lines(rows, sys.stdout.buffer)
    if output is None:
        raise CommandError("--export parquet needs a file", "Add --output FILE", ExitCode.USAGE)
    if wanted is ExportFormat.PARQUET:
        _require_pyarrow()
    with new_file(output) as file:
        try:
            return _write_lines(rows, file) if wanted is ExportFormat.JSONL else _write_parquet(rows, columns, file)
        except BaseException:
            with suppress(OSError):
                output.unlink()
            raise


def new_file(path: Path) -> BinaryIO:
    """Make a file that nobody else can read.

    Raises:
        CommandError: It exists, or cannot be made.
    """
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except FileExistsError as problem:
        raise CommandError(f"{path} exists", "Name another file, or remove it first", ExitCode.USAGE) from problem
    except OSError as problem:
        raise CommandError(
            f"{path} cannot be made: {problem.strerror}", "Name another file", ExitCode.USAGE
        ) from problem


def _write_lines(rows: Iterable[dict[str, SqlValue]], file: BinaryIO) -> int:
    count = 0
    for row in rows:
        file.write(msgspec.json.encode(row) + b"\n")
        count += 1
    file.flush()
    return count


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - an extra
    except ImportError as problem:
        raise CommandError(
            "--export parquet needs pyarrow, which is not installed",
            "Install it with: pip install 'ringwarden[parquet]'; or use --export jsonl",
            ExitCode.UNAVAILABLE,
        ) from problem


def _write_parquet(rows: Iterator[dict[str, SqlValue]], columns: Iterable[str], file: BinaryIO) -> int:
    import pyarrow  # noqa: PLC0415 - an extra
    import pyarrow.parquet  # noqa: PLC0415

    types = {name: getattr(pyarrow, _TYPES.get(name, "string"))() for name in columns}
    types |= {name: pyarrow.float64() for name in _TIMES}
    schema = pyarrow.schema(list(types.items()))
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count
