"""What `logs` was asked for, checked."""

import re
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode
from supervisor.journal.selection import Selection
from supervisor.journal.tags import TagError, check_tags

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class LogStream(StrEnum):
    """What a task writes to; `python` are its records of `logging`."""

    STDOUT = "stdout"
    STDERR = "stderr"
    PYTHON = "python"


class ExportFormat(StrEnum):
    """File formats of `--export`."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def selection_of(
    *,
    task: str | None,
    rank: int | None,
    generation: int | None,
    tags: Sequence[str],
    since: str | None,
    until: str | None,
) -> Selection:
    """Return the selection that the flags describe.

    Raises:
        CommandError: A flag cannot be understood.
    """
    now = time.time()
    return Selection(
        task_id=task,
        rank=rank,
        generation=generation,
        tags=_tags(tags),
        since=None if since is None else moment(since, "--since", now),
        until=None if until is None else moment(until, "--until", now),
    )


def moment(text: str, flag: str, now: float) -> float:
    """Return seconds since the epoch for a time (ISO 8601, this machine's zone) or a duration before `now`.

    Raises:
        CommandError: It is neither.
    """
    matched = _DURATION.fullmatch(text)
    if matched is not None:
        return now - int(matched[1]) * _SECONDS[matched[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as problem:
        remedy = "Write a time as 2026-05-31T17:04 or 17 minutes ago as 17m (s, m, h, d)"
        raise CommandError(f"{flag} {text!r} is neither a time nor a duration", remedy, ExitCode.USAGE) from problem


def _tags(texts: Sequence[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"--tag {text!r} has no value", "Write it as --tag NAME=VALUE", ExitCode.USAGE)
        tags[name] = value
    try:
        check_tags(tags)
    except TagError as problem:
        raise CommandError(f"--tag: {problem}", problem.remedy, ExitCode.USAGE) from problem
    return tags
