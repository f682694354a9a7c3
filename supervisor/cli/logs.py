"""`logs`: what runners and tasks wrote, from the journal and the raw logs of a state folder."""

from collections import deque
from pathlib import Path

import msgspec

from supervisor.cli.errors import CommandError
from supervisor.cli.kept_journal import kept_journal
from supervisor.cli.log_export import export_logs
from supervisor.cli.log_query import ExportFormat, LogStream
from supervisor.cli.log_writer import LineWriter
from supervisor.cli.raw_output import RawGeneration
from supervisor.cli.reading import print_json
from supervisor.cli.terminal import console
from supervisor.exit_code import ExitCode
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import GenerationRecord
from supervisor.journal.selection import Selection
from supervisor.raw_log_folder import RawLogFolder
from supervisor.state_directory import StateDirectory

_MAX_GENERATIONS = 1000
_MAX_NEW_GENERATIONS = 50


class LogsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to show: of which state folder, which rows, which stream, and how."""

    state_dir: Path
    selection: Selection
    stream: LogStream | None = None
    follow: bool = False
    as_json: bool = False
    export: ExportFormat | None = None
    output: Path | None = None

    @property
    def wants_tasks(self) -> bool:
        """Whether it is about tasks; otherwise about all that ranks wrote."""
        return bool(self.selection.task_id or self.selection.tags) or self.stream is LogStream.PYTHON


class _Exported(msgspec.Struct, frozen=True):
    file: str
    captured_logs: int


def show_logs(request: LogsRequest) -> None:
    """Carry out `logs`. Blocks; with `follow`, until interrupted or until nobody reads its output.

    Raises:
        CommandError: There is no journal, it cannot be read, or it has nothing like what was asked for.
    """
    with kept_journal(request.state_dir) as reader:
        _check_tags_known(reader, request.selection)
        if request.export is not None:
            _export(reader, request, request.export)
        elif request.wants_tasks:
            _show_tasks(reader, request, LineWriter(as_json=request.as_json))
        else:
            _show_raw(reader, request, LineWriter(as_json=request.as_json))


def _check_tags_known(reader: JournalReader, selection: Selection) -> None:
    known = reader.tag_names()
    for name in selection.tags:
        if name not in known:
            remedy = f"There are: {', '.join(known)}" if known else "No task has had a tag so far."
            raise CommandError(f"no task has a tag {name}", remedy, ExitCode.BAD_DATA)


def _export(reader: JournalReader, request: LogsRequest, wanted: ExportFormat) -> None:
    logs = (log for _, log in reader.captured_logs(request.selection))
    count = export_logs(logs, reader.tag_names(), wanted, request.output)
    if request.output is not None and request.as_json:
        print_json(_Exported(str(request.output), count))
    elif request.output is not None:
        console().print(f"{count} captured logs written to {request.output}")


def _show_tasks(reader: JournalReader, request: LogsRequest, write: LineWriter) -> None:
    position, seen_version = 0, None
    while True:
        version = reader.data_version()
        if version != seen_version:
            seen_version = version
            for found_at, log in reader.captured_logs(request.selection, position):
                position = found_at
                write.captured(log, request.stream)
        if not request.follow:
            break
        write.pause()
    if position == 0:
        write.remark("no task wrote anything that fits; without --task and --tag, all that the ranks wrote is shown")


def _show_raw(reader: JournalReader, request: LogsRequest, write: LineWriter) -> None:
    folder = RawLogFolder(StateDirectory(request.state_dir).raw_logs_folder)
    waiting = deque(_generations(reader, request.selection))
    last: GenerationRecord | None = None
    while True:
        while waiting:
            last = waiting.popleft()
            output = RawGeneration(folder, last, request.selection.rank, request.stream)
            try:
                while request.follow and not waiting:
                    write.lines(output.lines(to_the_end=False))
                    waiting.extend(_newer_than(reader, last))
                    if not waiting:
                        write.pause()
                write.lines(output.lines(to_the_end=True))
            finally:
                output.close()
        if not request.follow:
            break
        waiting.extend(_newer_than(reader, last))
        write.pause()
    if not write.count:
        write.remark("the ranks wrote nothing")


def _newer_than(reader: JournalReader, last: GenerationRecord | None) -> list[GenerationRecord]:
    """Return the generations that were started after `last`, oldest first."""
    found: list[GenerationRecord] = []
    for record in reader.generations(Selection(), _MAX_NEW_GENERATIONS):
        if last is not None and (record.run_id, record.generation) == (last.run_id, last.generation):
            break
        found.append(record)
    return found[::-1]


def _generations(reader: JournalReader, selection: Selection) -> list[GenerationRecord]:
    """Return the chosen generations, oldest first: those of a time, or one of the newest run, by default its last."""
    if selection.since is not None or selection.until is not None:
        return list(reversed(reader.generations(selection, _MAX_GENERATIONS)))
    newest = _newest(reader)
    if newest is None or selection.generation is None:
        return [] if newest is None else [newest]
    found = reader.generations(Selection(run_id=newest.run_id, generation=selection.generation), 1)
    if not found:
        remedy = f"The newest is {newest.generation}; for one of an earlier run, add --since"
        raise CommandError(f"the newest run has no generation {selection.generation}", remedy, ExitCode.BAD_DATA)
    return list(found)


def _newest(reader: JournalReader) -> GenerationRecord | None:
    found = reader.generations(Selection(), 1)
    return found[0] if found else None
