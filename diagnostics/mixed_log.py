"""The cause that a log of several processes tells of: judged like a group whose logs were collected by hand."""

from collections.abc import Iterable

import msgspec

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_told_by
from diagnostics.evidence import Diagnostic, ExitStatus, StreamReport
from diagnostics.exit_status import signal_of
from diagnostics.incident import Confidence, Diagnosis
from diagnostics.launcher_log import LogReport, RankEnd, TaggedStream
from diagnostics.log_diagnosis import NOTHING_FOUND, LogDiagnosis, RootCause, examine_stream, root_cause_of
from diagnostics.post_mortem import RankLog, examine_group


def examine_log(log: LogReport, exit_status: ExitStatus | None = None) -> LogDiagnosis:
    """Name the cause that a log tells of, whether one process wrote it or several.

    Args:
        log: As it was read.
        exit_status: How the process ended, or the one that had started several; None where nobody noted it.
    """
    if not log.mixed:
        return _with_subject(examine_stream(log.whole, exit_status, log.operating_system), log)
    diagnostics = sorted(_all_diagnostics(log.streams), key=lambda one: one.line)
    root = _root_of_group(log) or examine_stream(StreamReport(), exit_status, log.operating_system).root_cause
    known = sum(one.count for one in diagnostics)
    return _with_subject(LogDiagnosis(root, tuple(diagnostics), max(0, log.whole.total_lines - known)), log)


def _with_subject(diagnosis: LogDiagnosis, log: LogReport) -> LogDiagnosis:
    """Where a launcher's own line is the cause, it names the process."""
    root = diagnosis.root_cause
    end = next((end for end in log.ends if root is not None and root.line == end.line), None)
    if root is None or end is None:
        return diagnosis
    return msgspec.structs.replace(diagnosis, root_cause=msgspec.structs.replace(root, subject=end.report.label))


class _Process(msgspec.Struct, frozen=True):
    """What one process wrote, and its end as the launcher told it, unless it was the launcher that ended it."""

    stream: TaggedStream
    end: RankEnd | None

    @property
    def status(self) -> ExitStatus | None:
        return None if self.end is None or self.end.stopped else self.end.report.status

    @property
    def speaks(self) -> bool:
        """A process of which only an exit code is known explains nothing that others' words do not explain better."""
        status = self.status
        ended = status is not None and (signal_of(status) is not None or status.code == 0)
        return self.stream.report.root_cause is not None or ended


def _root_of_group(log: LogReport) -> RootCause | None:
    processes = _numbered(log)
    if not processes:
        return None
    logs = [RankLog(number, one.stream.report, one.status) for number, one in processes.items()]
    outcome = examine_group(logs, log.operating_system)
    verdict = outcome.verdict
    if verdict is None:
        return None
    suspected = verdict.suspects if verdict.rank is None else (verdict.rank, *verdict.suspects)
    named = [(processes[rank], told) for rank in suspected if (told := outcome.ranks.get(rank)) is not None]
    own = [_told_by(process, told) for process, told in named if not told.peer_loss and told.cause is not Cause.UNKNOWN]
    symptoms = [one for one in _all_diagnostics(log.streams) if one.symptom and not one.handled]
    if own:
        # All of them weigh the same, and one log is one clock.
        root = min(own, key=lambda one: log.whole.total_lines if one.line is None else one.line)
        # Who leaves with exit code 0 is only at fault when somebody missed it.
        return None if root.kind in NOTHING_FOUND and not symptoms else root
    # Nobody has a cause of its own: the first word of a lost peer is all that there is.
    first = min(symptoms, key=lambda one: one.line, default=None)
    return None if first is None else _symptom(first, log.streams)


def _numbered(log: LogReport) -> dict[int, _Process]:
    """Who has something to say, by rank. Processes without a rank of their own get the numbers after the others'."""
    ends = {end.report.label: end for end in log.ends}
    known = {stream.label for stream in log.streams}
    silent = [TaggedStream(name, None, StreamReport()) for name in ends if name not in known]
    processes: dict[int, _Process] = {}
    unnumbered: list[_Process] = []
    for stream in (*log.streams, *silent):
        process = _Process(stream, ends.get(stream.label))
        if not process.speaks:
            continue
        if stream.rank is None:
            unnumbered.append(process)
        else:
            processes[stream.rank] = process
    for number, process in enumerate(unnumbered, max(processes, default=-1) + 1):
        processes[number] = process
    return processes


def _told_by(process: _Process, diagnosis: Diagnosis) -> RootCause:
    root = root_cause_of(diagnosis, process.stream.report, process.stream.label)
    if root.line is not None or process.end is None:
        return root
    line, text = process.end.line, process.end.report.text
    return msgspec.structs.replace(root, line=line, text=text, evidence=(text,), evidence_lines=(line,))


def _symptom(first: Diagnostic, streams: Iterable[TaggedStream]) -> RootCause:
    stream = next(one for one in streams if first in one.report.diagnostics)
    return root_cause_of(diagnosis_told_by(first, Confidence.POSSIBLE), stream.report, stream.label)


def _all_diagnostics(streams: Iterable[TaggedStream]) -> list[Diagnostic]:
    return [one for stream in streams for one in stream.report.diagnostics]
