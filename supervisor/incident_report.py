"""Incidents made from verdicts and certificates: pure, so that what clients and `why` read can be tested alone."""

import errno
import math
from collections.abc import Sequence
from typing import NamedTuple

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import DeathEvidence, OperatingSystem, StreamReport, SupervisorFinding
from diagnostics.incident import Confidence, DeathCertificate, Incident, Verdict
from diagnostics.phase import Phase
from supervisor.core.restart import GiveUp, RestartAfter, RestartDecision

MOST_CERTIFICATES = 64
"""An incident is kept in memory and on disk and goes to every node: of a larger group it holds those of the ranks that
its verdict names, and as many others as there is room for. Every single death is in the journal's events."""


def group_incident(
    verdict: Verdict,
    certificates: Sequence[DeathCertificate],
    decision: RestartDecision,
    *,
    incident_id: str,
    occurred_at: float,
    node: str,
    model: str,
    task_ids: Sequence[str],
    expected_start_s: float,
) -> Incident:
    """The incident that every task in flight ends with.

    Args:
        verdict: What the certificates mean together.
        certificates: Those known now, at least one, by rank.
        decision: What follows.
        incident_id: Names the incident everywhere.
        occurred_at: Seconds since the Unix epoch.
        node: This node, should no single rank be to blame.
        model: The model that the group served.
        task_ids: The tasks that end with it.
        expected_start_s: How long a start of this group takes, as far as known.
    """
    culprit = _culprit(verdict, certificates)
    restarts = isinstance(decision, RestartAfter)
    retry_after_s = decision.delay_s + expected_start_s if restarts and verdict.retryable else None
    return Incident(
        incident_id=incident_id,
        occurred_at=occurred_at,
        node=node if verdict.rank is None else culprit.node,
        rank=verdict.rank,
        generation=culprit.generation,
        cause=verdict.kind,
        phase=culprit.phase,
        confidence=verdict.confidence,
        message=verdict.sentence,
        advice=verdict.advice,
        retryable=retry_after_s is not None,
        evidence=culprit.diagnosis.evidence,
        suspects=verdict.suspects,
        certificates=_most_telling(verdict, certificates),
        task_ids=tuple(task_ids),
        model=model,
        next_step=_next_step(decision, retry_after_s),
        retry_after_s=retry_after_s,
    )


def runner_incident(certificate: DeathCertificate, *, incident_id: str, occurred_at: float, model: str) -> Incident:
    """One dead runner's own incident, from its own certificate only: what `RunnerFailed` carries."""
    diagnosis = certificate.diagnosis
    return Incident(
        incident_id=incident_id,
        occurred_at=occurred_at,
        node=certificate.node,
        rank=certificate.rank,
        generation=certificate.generation,
        cause=diagnosis.cause,
        phase=certificate.phase,
        confidence=diagnosis.confidence,
        message=f"Rank {certificate.rank} {diagnosis.message}",
        advice=diagnosis.advice,
        retryable=diagnosis.retryable,
        evidence=diagnosis.evidence,
        certificates=(certificate,),
        model=model,
    )


class Ending(NamedTuple):
    """Why tasks end for which no rank is to blame."""

    cause: Cause
    phase: Phase
    message: str
    advice: str
    retryable: bool
    next_step: str


STOPPED = Ending(
    cause=Cause.KILLED_BY_SUPERVISOR,
    phase=Phase.SHUTTING_DOWN,
    message="The service was stopped by its operator while the request was in flight.",
    advice="Send the request again when the service is back.",
    retryable=True,
    next_step="The service stops.",
)


def abandoned(reason: str) -> Ending:
    """A group that cannot even be ended: a process of it outlives SIGKILL."""
    return Ending(
        cause=Cause.UNKNOWN,
        phase=Phase.RUNNING,
        message=reason,
        advice="Restart the machine that the process runs on: it waits in the kernel for a device.",
        retryable=False,
        next_step="Ringwarden does not restart the group beside a living process; an operator has to act.",
    )


def blameless_incident(
    ending: Ending,
    *,
    incident_id: str,
    occurred_at: float,
    node: str,
    model: str,
    generation: int,
    task_ids: Sequence[str],
) -> Incident:
    """What tasks in flight end with when no rank is to blame."""
    return Incident(
        incident_id=incident_id,
        occurred_at=occurred_at,
        node=node,
        rank=None,
        generation=generation,
        cause=ending.cause,
        phase=ending.phase,
        confidence=Confidence.CERTAIN,
        message=ending.message,
        advice=ending.advice,
        retryable=ending.retryable,
        task_ids=tuple(task_ids),
        model=model,
        next_step=ending.next_step,
    )


def start_failure(rank: int, generation: int, node: str, error: OSError) -> DeathCertificate:
    """The certificate of a rank that could not even be started, because of the supervisor's own machine."""
    finding = SupervisorFinding(
        Cause.DISK_FULL if error.errno == errno.ENOSPC else Cause.UNKNOWN, f"could not be started: {error}"
    )
    evidence = DeathEvidence(OperatingSystem.LINUX, Phase.IDLE, None, StreamReport(), finding=finding)
    return DeathCertificate(rank, generation, node, 0, Phase.IDLE, classify(evidence), None, died_at_s=0.0)


def _most_telling(verdict: Verdict, certificates: Sequence[DeathCertificate]) -> tuple[DeathCertificate, ...]:
    named = {verdict.rank, *verdict.suspects}
    by_weight = sorted(certificates, key=lambda one: (one.rank not in named, one.rank))
    return tuple(sorted(by_weight[:MOST_CERTIFICATES], key=lambda one: one.rank))


def _culprit(verdict: Verdict, certificates: Sequence[DeathCertificate]) -> DeathCertificate:
    for certificate in certificates:
        if certificate.rank == verdict.rank:
            return certificate
    return min(certificates, key=lambda certificate: certificate.died_at_s)


def _next_step(decision: RestartDecision, retry_after_s: float | None) -> str:
    match decision:
        case RestartAfter():
            again = f"; send the request again in about {math.ceil(retry_after_s)} s" if retry_after_s else ""
            return f"Ringwarden is restarting the group{again}."
        case GiveUp(reason):
            return f"Ringwarden does not restart the group, because {reason}; an operator has to act."
