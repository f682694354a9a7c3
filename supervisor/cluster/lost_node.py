"""What the head certifies of a rank whose node it lost: nobody saw the rank itself end."""

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.incident import Confidence, DeathCertificate
from diagnostics.phase import Phase


def certificate_of_lost_node(  # noqa: PLR0917 - as many as there are facts
    rank: int,
    generation: int,
    node: str,
    because: str,
    phase: Phase,
    step: int,
    at_s: float,
    *,
    confidence: Confidence = Confidence.CERTAIN,
) -> DeathCertificate:
    """Write down that a rank is gone with its node. Should the node come back and know a cause, that one counts more.

    Args:
        rank: The rank.
        generation: Its generation.
        node: The node that was lost.
        because: How the head knows, as a clause about the node: `nothing was heard of it for 5 s`.
        phase: The last phase that the rank announced.
        step: Its last progress word.
        at_s: When the node was given up; monotonic time of the head.
        confidence: `LIKELY` for silence: the verdict then waits a moment for other nodes that may be silent, too.
    """
    message = f"was lost with its node; {because}"
    return DeathCertificate(
        rank=rank,
        generation=generation,
        node=node,
        pid=0,
        phase=phase,
        diagnosis=diagnosis_of(Cause.NODE_LOST, confidence, message),
        exit_status=None,
        died_at_s=at_s,
        step=step,
    )
