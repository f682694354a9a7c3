"""How much each rank's own diagnosis explains the death of its whole group."""

from enum import IntEnum

from diagnostics.cause import Cause
from diagnostics.incident import DeathCertificate

_SIGABRT, _SIGKILL = 6, 9


class Weight(IntEnum):
    """The lower, the more it explains."""

    PRIMARY = 0
    """Its own trouble: nothing that happens on another rank leads to it."""
    LEFT = 1
    """It left, or its GPU waited too long: its own doing, unless another rank has a primary cause."""
    NOT_CONNECTED = 2
    """Its right neighbour did not let it in while the ring was formed: that one is where to look."""
    STOOD = 3
    """It did not go on, or nobody knows how it ended: cause or victim."""
    LOST_PEER = 4
    """All it knows is that a peer went away."""
    VICTIM = 5
    """Ringwarden stopped it."""


_WEIGHTS = {
    Cause.KILLED_BY_SUPERVISOR: Weight.VICTIM,
    Cause.STALLED: Weight.STOOD,
    Cause.START_TIMEOUT: Weight.STOOD,
    Cause.EXITED_EARLY: Weight.LEFT,
    Cause.METAL_GPU_TIMEOUT: Weight.LEFT,
}


def weight_of(certificate: DeathCertificate) -> Weight:
    """Weigh one certificate, from itself alone."""
    diagnosis = certificate.diagnosis
    if diagnosis.peer_loss:
        return Weight.LEFT if _aborted_itself(certificate) else Weight.LOST_PEER
    if diagnosis.cause is Cause.UNKNOWN:
        return Weight.STOOD if certificate.exit_status is None else Weight.LEFT
    if diagnosis.cause is Cause.RING_CONNECT_FAILED and could_not_connect(certificate):
        return Weight.NOT_CONNECTED
    if diagnosis.cause is Cause.RING_ABORT and not _aborted_itself(certificate):
        # It gave the ring up and lived: its own doing, unless somebody else's death was what its sockets complained of.
        return Weight.LEFT
    return _WEIGHTS.get(diagnosis.cause, Weight.PRIMARY)


def could_not_connect(certificate: DeathCertificate) -> bool:
    """Whether the ring's set-up ended because the right neighbour refused, and not for a fault in its own settings."""
    said = (certificate.diagnosis.message, *certificate.diagnosis.evidence)
    return any("Couldn't connect" in line or "could not connect to its right neighbour" in line for line in said)


def directness(certificate: DeathCertificate) -> int:
    """The order among primary causes without a common clock: an error of its own, then SIGKILL, then other signals.

    Whoever starts ranks kills the rest after a first failure, first with SIGTERM, so a rank that told of an error
    itself is the likelier beginning. A lost node is as hard a fact as SIGKILL, and tells no more.
    """
    if certificate.diagnosis.cause is Cause.NODE_LOST:
        return 1
    if certificate.diagnosis.cause is not Cause.KILLED_NO_STDERR:
        return 0
    status = certificate.exit_status
    return 1 if status is not None and _SIGKILL in (status.signal, (status.code or 0) - 128) else 2


def _aborted_itself(certificate: DeathCertificate) -> bool:
    """MLX's ring says "Aborting" but does not abort: who really died of SIGABRT then did it on its own."""
    status = certificate.exit_status
    aborted = status is not None and status.signal == _SIGABRT and _SIGABRT not in certificate.signals_sent
    return aborted and certificate.diagnosis.cause is Cause.RING_ABORT
