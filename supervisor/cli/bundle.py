"""All there is about one incident in one zip, fit to be attached to an issue: bounded, and without secrets."""

import os
import platform
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from diagnostics.incident import Incident
from supervisor.cli.errors import CommandError
from supervisor.cli.incident_story import incident_story
from supervisor.cli.log_export import new_file
from supervisor.exit_code import ExitCode
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import CapturedLog, GenerationRecord, Record, TaskRecord
from supervisor.journal.rows import Kind
from supervisor.journal.selection import Selection
from supervisor.raw_log_folder import RawLogFolder
from supervisor.redaction import allowed_environment, redacted, redacted_value
from supervisor.settings import Settings
from supervisor.version import version

MAX_TASKS = 200
MAX_EVENTS = 500
MAX_CAPTURED_BYTES = 8 * 1024 * 1024
MAX_RAW_BYTES_A_STREAM = 2 * 1024 * 1024
_STORY_WIDTH = 120
_PACKAGES = ("mlx", "mlx-metal", "mlx-lm", "msgspec", "anyio", "starlette", "uvicorn", "pyzmq", "transformers")
_README = """What Ringwarden knows about {incident_id}.

story.txt            the incident on one screen
incident.json        all of it: verdict, death certificates, evidence
generation.json      the group's generation that failed
tasks.jsonl          the requests that it ended, without their prompts
captured_logs.jsonl  what these requests wrote
events.jsonl         the last events of that generation
raw/                 the last of what each rank wrote, at most {raw_kib} KiB for each stream
versions.json        of Python, MLX, Ringwarden and the system
settings.json        the settings and environment of the command that wrote this

Removed: what looks like a key, token, password or cookie, and the values of variables that are named so.
Not removed: names of hosts, users, files and models, and whatever a program printed of its input. Have a look.
"""


class Bundle:
    """Collects and writes one bundle. Blocks.

    Args:
        incident: What it is about.
        reader: The journal; None leaves out what only it has.
        raw_logs: The raw logs.
        settings: Those of this command.
        secrets: Values that must not be in it.
    """

    def __init__(
        self,
        incident: Incident,
        reader: JournalReader | None,
        raw_logs: RawLogFolder,
        settings: Settings,
        secrets: Iterable[str],
    ) -> None:
        # Before anything is escaped or wrapped: half a key, or one with a backslash in it, would not be recognised.
        self._secrets = tuple(secrets)
        self._incident = self._clean(incident)
        self._reader = reader
        self._raw_logs = raw_logs
        self._settings = settings
        self._generation = None if reader is None else reader.generation_of(incident)

    def write(self, target: Path) -> None:
        """Write the zip, readable by this user only. An existing file is left alone, a half written one removed.

        Raises:
            CommandError: The file exists or cannot be written.
        """
        try:
            with new_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in self._members():
                    archive.writestr(name, text.encode("utf-8", "surrogateescape"))
        except OSError as problem:
            with suppress(OSError):
                target.unlink()
            reason = f"{target} cannot be written: {problem.strerror or problem}"
            raise CommandError(reason, "Name a file on another disk", ExitCode.UNAVAILABLE) from problem

    def _members(self) -> Iterator[tuple[str, str]]:
        readme = _README.format(incident_id=self._incident.incident_id, raw_kib=MAX_RAW_BYTES_A_STREAM // 1024)
        yield "README.txt", readme
        yield "incident.json", _document(self._incident)
        yield "versions.json", _document(_versions())
        yield "settings.json", _document(redacted_value(_settings(self._settings), self._secrets))
        tasks: list[TaskRecord] = []
        if self._reader is not None:
            tasks += map(self._clean, self._reader.tasks_of_incident(self._incident.incident_id, MAX_TASKS))
            yield "tasks.jsonl", _lines(tasks)
            yield "captured_logs.jsonl", _lines(map(self._clean, self._captured(self._reader)))
        yield "story.txt", self._story(tasks)
        if self._reader is not None and self._generation is not None:
            run_id, number = self._generation.run_id, self._generation.generation
            yield "generation.json", _document(self._clean(self._generation))
            yield "events.jsonl", _lines(map(self._clean, self._reader.events_around(run_id, number, MAX_EVENTS)))
            for name, text in self._raw(self._generation):
                yield name, redacted(text, self._secrets)

    def _clean(self, record: Kind) -> Kind:
        return msgspec.convert(redacted_value(msgspec.to_builtins(record), self._secrets), type(record))

    def _captured(self, reader: JournalReader) -> Iterator[CapturedLog]:
        """Yield what the incident's tasks wrote, as much as fits."""
        room_bytes = MAX_CAPTURED_BYTES
        run_id = None if self._generation is None else self._generation.run_id
        for task_id in self._incident.task_ids[:MAX_TASKS]:
            for _, log in reader.captured_logs(Selection(task_id=task_id, run_id=run_id)):
                room_bytes -= len(log.stdout) + len(log.stderr) + len(log.python_logs) + len(log.traceback)
                if room_bytes < 0:
                    return
                yield log

    def _story(self, tasks: Sequence[TaskRecord]) -> str:
        page = StringIO()
        console = Console(file=page, width=_STORY_WIDTH, color_system=None, markup=False, emoji=False, highlight=False)
        console.print(incident_story(self._incident, tasks))
        return page.getvalue()

    def _raw(self, generation: GenerationRecord) -> Iterator[tuple[str, str]]:
        by_stream: dict[str, list[Path]] = {}
        for file in self._raw_logs.files(generation.run_id, generation.generation):
            by_stream.setdefault(f"raw/rank-{file.rank}.{file.stream}.log", []).append(file.path)
        for name, parts in by_stream.items():
            yield name, _tail(parts)


def _tail(parts: list[Path]) -> str:
    """Return the last of a stream. Its parts are joined first: a secret may lie across two of them."""
    wanted, pieces = MAX_RAW_BYTES_A_STREAM, list[bytes]()
    cut = False
    for part in reversed(parts):
        try:
            with part.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - wanted))
                pieces.insert(0, file.read(wanted))
        except OSError:
            continue
        cut = size > wanted
        wanted -= min(wanted, size)
        if not wanted:
            break
    data = b"".join(pieces)
    if cut:
        # Half a line may hold half a secret, which nothing would recognise.
        first, newline, rest = data.partition(b"\n")
        data = rest if newline else first[4096:]
    return data.decode("utf-8", "surrogateescape")


def _versions() -> dict[str, str]:
    found = {"ringwarden": version(), "python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _settings(settings: Settings) -> dict[str, Any]:
    shown = {name: getattr(settings, name) for name in settings.__struct_fields__ if name != "api_key"}
    told = {name: value if isinstance(value, str | int | float | None) else str(value) for name, value in shown.items()}
    return {"settings": told, "environment": allowed_environment(os.environ)}


def _document(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _lines(records: Iterable[Record]) -> str:
    return "".join(msgspec.json.encode(record).decode() + "\n" for record in records)
