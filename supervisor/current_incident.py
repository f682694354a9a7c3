"""The incident of a group's newest failure, from the first death to the recovery."""

import time
import uuid
from bisect import insort
from collections.abc import Sequence

import msgspec

from diagnostics.cause import Cause
from diagnostics.incident import DeathCertificate, Incident
from diagnostics.verdict import fold
from supervisor.core.group_messages import DeclareVerdict
from supervisor.core.restart import RestartAfter
from supervisor.incident_report import (
    MOST_CERTIFICATES,
    STOPPED,
    Ending,
    abandoned,
    blameless_incident,
    group_incident,
    runner_incident,
)
from supervisor.launch import GroupSpec
from supervisor.observers import GroupObserver
from transports.messages import RunnerFailed

_UNSEEN = "The head was away at that time."
_TOLD_ONE_BY_ONE = 16
"""Every version holds all certificates and goes to every node: of a large group, one for each would be too much."""


class CurrentIncident:
    """Grows one incident after the other and tells the observer of each version. Used from the event loop.

    Args:
        spec: The group.
        observer: Who is told.
    """

    def __init__(self, spec: GroupSpec, observer: GroupObserver) -> None:
        self._spec = spec
        self._observer = observer
        self._next_id = _new_id()
        self._failed_at: float | None = None
        self._over_nodes = False
        self._is_told = True
        self.newest: Incident | None = None

    def begin_generation(self, spec: GroupSpec, *, over_nodes: bool) -> None:
        """What fails from here on is a new incident, of the group as it was placed now."""
        self._spec = spec
        self._over_nodes = over_nodes
        self._next_id = _new_id()

    def runner_failed(self, certificate: DeathCertificate) -> None:
        """Publish `RunnerFailed` for one dead runner. A recovery is counted from the first one."""
        self._failed_at = self._failed_at or time.monotonic()
        own = runner_incident(
            certificate, incident_id=self._next_id, occurred_at=time.time(), model=self._spec.model_id
        )
        self._observer.on_runner_failed(RunnerFailed(certificate.rank, certificate.generation, certificate.node, own))

    def declare(self, action: DeclareVerdict, task_ids: Sequence[str], expected_start_s: float) -> Incident:
        """Make the verdict's incident."""
        incident = group_incident(
            action.verdict,
            action.certificates,
            action.decision,
            incident_id=self._next_id,
            occurred_at=time.time(),
            node=self._spec.node,
            model=self._spec.model_id,
            task_ids=task_ids,
            expected_start_s=expected_start_s,
        )
        return self._publish(incident)

    def declare_unseen(self, certificates: Sequence[DeathCertificate], expected_start_s: float) -> Incident:
        """Make the incident of a generation that failed before this supervisor began. Its requests ended with its head.

        A recovery is counted from now: nobody knows how long ago that was on another node's clock.
        """
        for certificate in certificates:
            self.runner_failed(certificate)
        verdict = fold(certificates, self._spec.world_size, name_nodes=True)
        verdict = msgspec.structs.replace(verdict, sentence=f"{verdict.sentence} {_UNSEEN}")
        return self.declare(DeclareVerdict(verdict, tuple(certificates), RestartAfter(0.0)), (), expected_start_s)

    def declare_stopped(self, generation: int, task_ids: Sequence[str]) -> Incident:
        """Make the incident of tasks that are in flight when the service is asked to stop."""
        return self._declare_blameless(STOPPED, _new_id(), generation, task_ids)

    def declare_abandoned(self, generation: int, task_ids: Sequence[str], reason: str) -> Incident:
        """Make the incident of tasks whose group was given up before there was a verdict."""
        return self._declare_blameless(abandoned(reason), self._next_id, generation, task_ids)

    def _declare_blameless(
        self, ending: Ending, incident_id: str, generation: int, task_ids: Sequence[str]
    ) -> Incident:
        incident = blameless_incident(
            ending,
            incident_id=incident_id,
            occurred_at=time.time(),
            node=self._spec.node,
            model=self._spec.model_id,
            generation=generation,
            task_ids=task_ids,
        )
        return self._publish(incident)

    def add(self, certificate: DeathCertificate) -> None:
        """Complete the newest incident with a certificate that came after its verdict, as long as there is room."""
        if self.newest is None or len(self.newest.certificates) >= MOST_CERTIFICATES:
            return
        known = list(self.newest.certificates)
        insort(known, certificate, key=_rank)
        self.newest = msgspec.structs.replace(self.newest, certificates=tuple(known))
        self._is_told = False
        if len(known) <= _TOLD_ONE_BY_ONE:
            self._publish(self.newest)

    def all_gone(self) -> None:
        """No certificate comes any more: tell what was not worth a version of its own."""
        if self.newest is not None and not self._is_told:
            self._publish(self.newest)

    def amend(self, certificate: DeathCertificate) -> None:
        """Put a certificate that learned more in the place of its earlier version, in the newest incident only.

        The sentence follows it; who is named, and what clients were told to do, does not change any more.
        """
        newest = self.newest
        if newest is None or not any(_same_death(known, certificate) for known in newest.certificates):
            return
        certificates = tuple(certificate if _same_death(one, certificate) else one for one in newest.certificates)
        amended = msgspec.structs.replace(newest, certificates=certificates)
        verdict = fold(certificates, self._spec.world_size, name_nodes=self._over_nodes)
        if certificate.rank == newest.rank == verdict.rank and verdict.kind is newest.cause:
            amended = msgspec.structs.replace(
                amended,
                message=verdict.sentence,
                confidence=verdict.confidence,
                advice=verdict.advice,
                evidence=certificate.diagnosis.evidence,
            )
        self._publish(amended)

    def recovered(self) -> None:
        """The group serves again."""
        if self.newest is not None and self._failed_at is not None:
            recovered_after_s = time.monotonic() - self._failed_at
            self._publish(msgspec.structs.replace(self.newest, recovered_after_s=recovered_after_s))
        self._failed_at = None

    def _publish(self, incident: Incident) -> Incident:
        self.newest = incident
        self._is_told = True
        self._observer.on_incident(incident)
        return incident


def _rank(certificate: DeathCertificate) -> int:
    return certificate.rank


def _same_death(one: DeathCertificate, other: DeathCertificate) -> bool:
    """One rank dies once in a generation. A head that lost the node certified it without having seen the process."""
    is_same = (one.rank, one.generation) == (other.rank, other.generation)
    return is_same and (one.pid == other.pid or Cause.NODE_LOST in (one.diagnosis.cause, other.diagnosis.cause))


def _new_id() -> str:
    return f"inc-{uuid.uuid4().hex[:12]}"
