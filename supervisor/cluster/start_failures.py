"""The certificates of a generation that failed before any of its processes ran. Pure."""

import time
from collections.abc import Mapping, Sequence

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import DeathEvidence, StreamReport, SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.phase import Phase
from supervisor.certificate import OUR_SYSTEM
from supervisor.core.rank_places import RankPlace

_NOT_TO_BLAME = SupervisorFinding(Cause.KILLED_BY_SUPERVISOR, "was not started, because the group could not be")


def start_failures(
    places: Sequence[RankPlace], generation: int, findings: Mapping[int, SupervisorFinding]
) -> tuple[DeathCertificate, ...]:
    """One certificate for each rank; those that are to blame have a finding of their own.

    Args:
        places: All ranks of the generation.
        generation: Its number.
        findings: By rank, what was found; at least one.
    """
    now = time.monotonic()
    return tuple(_certificate(place, generation, findings.get(place.rank, _NOT_TO_BLAME), now) for place in places)


def _certificate(place: RankPlace, generation: int, finding: SupervisorFinding, at_s: float) -> DeathCertificate:
    evidence = DeathEvidence(OUR_SYSTEM, Phase.IDLE, None, StreamReport(), finding=finding)
    return DeathCertificate(place.rank, generation, place.node, 0, Phase.IDLE, classify(evidence), None, died_at_s=at_s)
