"""The verdict over ranks of which only the head knows, because their nodes were lost to it."""

from collections.abc import Sequence

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, DeathCertificate, Verdict
from diagnostics.verdict_words import list_ranks, list_words, verdict_of

_TOGETHER_S = 2.0
"""Nodes that fall silent at one moment are found within about a heartbeat of each other."""


def lost_nodes(heaviest: Sequence[DeathCertificate]) -> Verdict | None:
    """The verdict when lost nodes explain most, and there is more to say than about one rank; else None.

    All these certificates are the head's, so their times can be compared. Several nodes that are lost together are
    not told apart from a head that lost its own network.

    Args:
        heaviest: The certificates that explain the group's death best, at least one.
    """
    if any(one.diagnosis.cause is not Cause.NODE_LOST for one in heaviest):
        return None
    first_at_s = min(one.died_at_s for one in heaviest)
    together = [one for one in heaviest if one.died_at_s <= first_at_s + _TOGETHER_S]
    nodes = sorted({one.node for one in together})
    ranks = sorted(one.rank for one in together)
    with_them = list_ranks(ranks, low=True)
    if len(nodes) > 1:
        words = f"Nodes {list_words(nodes)} were lost together, and {with_them} with them"
        sentence = f"{words}; if they still run, it was the head's own network that failed."
        return verdict_of(Cause.NODE_LOST, None, Confidence.LIKELY, sentence, tuple(ranks))
    if len(ranks) == 1:
        return None
    _, separator, detail = together[0].diagnosis.message.rstrip(". ").partition("; ")
    sentence = f"Node {nodes[0]} was lost, and {with_them} with it{separator}{detail}."
    others = tuple(sorted({one.rank for one in heaviest} - {ranks[0]}))
    return verdict_of(Cause.NODE_LOST, ranks[0], _surest(together), sentence, others)


def _surest(together: Sequence[DeathCertificate]) -> Confidence:
    certain = all(one.diagnosis.confidence is Confidence.CERTAIN for one in together)
    return Confidence.CERTAIN if certain else Confidence.LIKELY
