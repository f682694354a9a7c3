"""What one check found: a row with its state, what was measured, what that means, and what to do."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from supervisor.exit_code import ExitCode

MAX_EVIDENCE_LINES = 12
MAX_EVIDENCE_LETTERS = 400

_WORST_FIRST = (ExitCode.CONFIG, ExitCode.UNAVAILABLE, ExitCode.TEMPORARY)


class CheckState(StrEnum):
    """`SKIPPED` means that the check was not made; the diagnosis then says why."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `evidence` is what was measured, never what was assumed; `exit_code` is 0 unless the check failed."""

    check: str
    state: CheckState
    evidence: tuple[str, ...] = ()
    diagnosis: str = ""
    remedy: str = ""
    exit_code: ExitCode = ExitCode.OK


def ok(check: str, *evidence: str) -> Finding:
    """All is well, as far as this evidence tells."""
    return Finding(check=check, state=CheckState.OK, evidence=_bounded(evidence))


def warning(check: str, evidence: Iterable[str], diagnosis: str, remedy: str) -> Finding:
    """It works, but something will hurt."""
    return Finding(
        check=check, state=CheckState.WARNING, evidence=_bounded(evidence), diagnosis=diagnosis, remedy=remedy
    )


def failed(check: str, evidence: Iterable[str], diagnosis: str, remedy: str, exit_code: ExitCode) -> Finding:
    """It cannot work like this."""
    return Finding(
        check=check,
        state=CheckState.FAILED,
        evidence=_bounded(evidence),
        diagnosis=diagnosis,
        remedy=remedy,
        exit_code=exit_code,
    )


def skipped(check: str, why: str, *evidence: str) -> Finding:
    """The check was not made."""
    return Finding(check=check, state=CheckState.SKIPPED, evidence=_bounded(evidence), diagnosis=why)


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """Return the worst of the failed checks': 78 before 69 before 75; 0 when none failed."""
    codes = {finding.exit_code for finding in findings if finding.state is CheckState.FAILED}
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.SOFTWARE if codes else ExitCode.OK)


def gibibytes(count: int) -> str:
    """`3.5 GiB`; small amounts in MiB."""
    if count < 1024**3:
        return f"{count / 1024**2:.0f} MiB"
    return f"{count / 1024**3:.1f} GiB"


def _bounded(lines: Iterable[str]) -> tuple[str, ...]:
    kept = [line if len(line) <= MAX_EVIDENCE_LETTERS else f"{line[: MAX_EVIDENCE_LETTERS - 1]}…" for line in lines]
    return tuple(kept[:MAX_EVIDENCE_LINES])
