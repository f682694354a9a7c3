"""Verdicts over logs that somebody collected by hand: no supervisor watched these ranks die."""

from collections.abc import Sequence

import msgspec

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport, SupervisorFinding
from diagnostics.incident import DeathCertificate, Diagnosis, Verdict
from diagnostics.phase import Phase
from diagnostics.verdict import fold


class RankLog(msgspec.Struct, frozen=True):
    """What was collected of one rank.

    `exit_status` None means that nobody noted how it ended, or that it had not: `alive` tells which.
    """

    rank: int
    report: StreamReport
    exit_status: ExitStatus | None = None
    alive: bool = False


class PostMortem(msgspec.Struct, frozen=True):
    """The verdict over a group, and each rank's own diagnosis; None where nothing is wrong."""

    verdict: Verdict | None
    ranks: dict[int, Diagnosis | None]


def examine_group(logs: Sequence[RankLog], operating_system: OperatingSystem) -> PostMortem:
    """Say what happened to a group from what was kept of its ranks. Pure; independent of the order of `logs`.

    Args:
        logs: At least one; one for each rank number.
        operating_system: The system that wrote the logs; decides how errno and signal numbers read.
    """
    certificates = [_certificate(one, operating_system) for one in logs]
    ranks: dict[int, Diagnosis | None] = {one.rank: one.diagnosis for one in certificates}
    return PostMortem(fold(certificates, len(certificates)), ranks)


def _certificate(log: RankLog, operating_system: OperatingSystem) -> DeathCertificate:
    finding = SupervisorFinding(Cause.STALLED, "had not ended") if log.alive else None
    evidence = DeathEvidence(operating_system, Phase.RUNNING, log.exit_status, log.report, finding=finding)
    return DeathCertificate(
        rank=log.rank,
        generation=0,
        node="",
        pid=0,
        phase=Phase.RUNNING,
        diagnosis=classify(evidence),
        exit_status=log.exit_status,
        died_at_s=0.0,
        stderr_tail=log.report.tail,
    )
