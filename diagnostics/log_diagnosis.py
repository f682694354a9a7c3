"""The cause that the log of one process tells of, with the line that tells it."""

import msgspec

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import DeathEvidence, Diagnostic, ExitStatus, OperatingSystem, StreamReport
from diagnostics.incident import Confidence, Diagnosis
from diagnostics.phase import Phase

NOTHING_FOUND = frozenset({Cause.UNKNOWN, Cause.EXITED_EARLY})
"""What a log without a supervisor's word about it leaves open: it may be the log of a process that ended well."""


class RootCause(msgspec.Struct, frozen=True):
    """The cause, in words. `line` (0-based) and `text` are None where the exit status alone tells it.

    `message` is a predicate about the process; `subject` names it where the log does, else it is empty. `evidence` is
    the lines around the decisive one, `evidence_lines` their numbers; without a decisive line, the end of the log,
    without numbers.
    """

    kind: Cause
    line: int | None
    text: str | None
    message: str
    advice: str
    retryable: bool
    confidence: Confidence
    subject: str = ""
    evidence: tuple[str, ...] = ()
    evidence_lines: tuple[int, ...] = ()


class LogDiagnosis(msgspec.Struct, frozen=True):
    """What a log says. `root_cause` None means that nothing in it explains a death."""

    root_cause: RootCause | None
    diagnostics: tuple[Diagnostic, ...]
    unclassified_lines: int


def examine_stream(
    report: StreamReport, exit_status: ExitStatus | None, operating_system: OperatingSystem
) -> LogDiagnosis:
    """Name the cause that one process's log and its end tell of.

    Args:
        report: What it wrote.
        exit_status: How it ended; None where nobody noted it.
        operating_system: Where it ran; decides how signal numbers read.
    """
    diagnosis = classify(DeathEvidence(operating_system, Phase.RUNNING, exit_status, report, supervised=False))
    root = None if diagnosis.cause in NOTHING_FOUND else root_cause_of(diagnosis, report)
    return LogDiagnosis(root, report.diagnostics, report.unclassified_lines)


def root_cause_of(diagnosis: Diagnosis, report: StreamReport, subject: str = "") -> RootCause:
    """The diagnosis of a process, with the line of its log that tells it."""
    line = diagnosis.evidence_line
    told = next((one for one in report.diagnostics if one.line == line and one.kind is diagnosis.cause), None)
    return RootCause(
        kind=diagnosis.cause,
        line=line,
        text=None if told is None else told.text,
        message=diagnosis.message,
        advice=diagnosis.advice,
        retryable=diagnosis.retryable,
        confidence=diagnosis.confidence,
        subject=subject,
        evidence=diagnosis.evidence if told is None else told.evidence,
        evidence_lines=() if told is None else told.evidence_lines,
    )
