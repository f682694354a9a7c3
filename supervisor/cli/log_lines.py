"""Captured logs and raw output as lines for people and for programs."""

from collections.abc import Iterator

import msgspec
from rich.text import Text

from supervisor.cli.incident_story import local_time
from supervisor.cli.log_query import LogStream
from supervisor.cli.terminal import shown
from supervisor.journal.records import CapturedLog, Tags


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line as `logs --json` prints it. `at` is when its task began; raw output belongs to no task."""

    generation: int
    rank: int
    stream: str
    line: str
    run_id: str
    task_id: str | None = None
    at: float | None = None
    tags: Tags = {}


def captured_lines(log: CapturedLog, stream: LogStream | None) -> Iterator[LogLine]:
    """Yield the lines of a captured log, stream after stream; a traceback belongs to stderr, and is told once."""
    traceback = "" if log.traceback.strip() in log.stderr else log.traceback
    texts = {
        LogStream.STDOUT: (log.stdout,),
        LogStream.STDERR: (log.stderr, traceback),
        LogStream.PYTHON: (log.python_logs,),
    }
    for name, parts in texts.items():
        if stream not in (None, name):
            continue
        for line in "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part).splitlines():
            yield LogLine(log.generation, log.rank, name.value, line, log.run_id, log.task_id, log.started_at, log.tags)


def captured_heading(log: CapturedLog) -> Text:
    """Return the line above a task's lines."""
    outcome = "ok" if log.success else "failed"
    took_s = log.ended_at - log.started_at
    tags = "".join(f", {name}={value}" for name, value in sorted(log.tags.items()))
    dropped = f", {log.dropped_bytes} bytes dropped" if log.dropped_bytes else ""
    where = f"rank {log.rank} on {log.node}, generation {log.generation}"
    return shown(
        f"{local_time(log.started_at)}  {log.task_id}  {where}, {outcome}, {took_s:.1f} s{tags}{dropped}", "dim"
    )


def line_text(line: LogLine, *, with_rank: bool) -> Text:
    """Return a line for people, with where it comes from in front."""
    source = f"rank {line.rank} {line.stream}" if with_rank else line.stream
    style = {"stderr": "red", "python": "cyan"}.get(line.stream, "green")
    return shown(f"{source:>13}| ", style).append_text(shown(line.line))
