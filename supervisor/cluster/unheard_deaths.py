"""Deaths that no head has told anybody of, because none was there: a group that failed during an outage."""

from collections.abc import Iterable, Mapping

from diagnostics.cause import Cause
from diagnostics.incident import DeathCertificate, Incident
from transports.cluster.handshake import Hello


def unheard_deaths(
    generation: int, hellos: Mapping[str, Hello], incidents: Iterable[Incident]
) -> tuple[DeathCertificate, ...]:
    """Return the certificates of the ranks of a generation that died unseen, by rank. Pure.

    None, when an incident of the generation is known (its ranks' deaths belong to that), or when a head ended it: when
    one rank was asked to leave, the others went because of that, whatever they say.

    Args:
        generation: The newest that any node tells of.
        hellos: What the nodes said; a node is believed about its own ranks only.
        incidents: Those that an earlier head wrote down.
    """
    if any(one.generation == generation and one.certificates for one in incidents):
        return ()
    found: dict[int, DeathCertificate] = {}
    for node in sorted(hellos):
        for certificate in hellos[node].deaths:
            if certificate.generation == generation and certificate.node == node:
                found.setdefault(certificate.rank, certificate)
    if any(one.diagnosis.cause is Cause.KILLED_BY_SUPERVISOR for one in found.values()):
        return ()
    return tuple(found[rank] for rank in sorted(found))
