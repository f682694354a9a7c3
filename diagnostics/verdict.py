"""Death certificates of a group's ranks, in any order -> the one sentence of truth."""

from collections.abc import Iterable, Sequence

import msgspec

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, DeathCertificate, Verdict
from diagnostics.ring_neighbours import Accusation, accused, unreached
from diagnostics.verdict_lost_nodes import lost_nodes
from diagnostics.verdict_weight import Weight, directness, weight_of
from diagnostics.verdict_words import Telling, list_ranks, verdict_about, verdict_of

_SURENESS = {Confidence.CERTAIN: 0, Confidence.LIKELY: 1, Confidence.POSSIBLE: 2}
_STANDING = {Cause.STALLED: "stood still together", Cause.START_TIMEOUT: "did not finish starting together"}


def fold(
    certificates: Iterable[DeathCertificate], world_size: int, *, phases_known: bool = True, name_nodes: bool = False
) -> Verdict:
    """Name the rank and the cause. Pure, and the same for every order and repetition of the certificates.

    Args:
        certificates: What is known so far; several for one rank count as one.
        world_size: How many ranks the group has.
        phases_known: Whether the certificates' phases may be told; False for logs that nobody supervised.
        name_nodes: Whether the group spans nodes, so that sentences name them; they also do when certificates tell.
    """
    known = _one_per_rank(certificates)
    if not known:
        return verdict_of(Cause.UNKNOWN, None, Confidence.POSSIBLE, "Nothing is known about the death of any rank.")
    tell = Telling(phases_known, _places(known, everybody=name_nodes or len({one.node for one in known}) > 1))
    weight = min(weight_of(one) for one in known)
    heaviest = [one for one in known if weight_of(one) is weight]
    stalled = [one for one in known if one.diagnosis.cause is Cause.STALLED]
    losers = [one for one in known if weight_of(one) is Weight.LOST_PEER and not _followed(one, stalled)]
    all_stand = all(one.diagnosis.cause is Cause.STALLED or _silent(one) for one in heaviest)
    if losers and (weight is Weight.LOST_PEER or (weight is Weight.STOOD and all_stand)):
        return _from_symptoms(losers, known, world_size, tell)
    if weight is Weight.VICTIM:
        return verdict_of(Cause.KILLED_BY_SUPERVISOR, None, Confidence.CERTAIN, "Ringwarden stopped the group.")
    if weight is Weight.STOOD:
        return _from_standing(heaviest, tell)
    if weight is Weight.NOT_CONNECTED:
        return _from_connecting(heaviest, known, world_size, tell)
    return lost_nodes(heaviest) or _named(heaviest, known, world_size, tell)


def is_final(certificates: Iterable[DeathCertificate], world_size: int) -> bool:
    """Whether no further certificate can change who is named: a primary cause is certain, or every rank is known."""
    known = _one_per_rank(certificates)
    return len(known) >= world_size or any(weight_of(one) is Weight.PRIMARY and _is_certain(one) for one in known)


def _is_certain(one: DeathCertificate) -> bool:
    """That a rank was killed is a fact, however sure the reason is."""
    return one.diagnosis.confidence is Confidence.CERTAIN or one.diagnosis.cause is Cause.KILLED_NO_STDERR


def _followed(loser: DeathCertificate, stalled: Sequence[DeathCertificate]) -> bool:
    """A rank that lost its peer only after that one had been ended for standing still says nothing about the stall.

    Judged on one node only, where one clock stamped both.
    """
    return any(one.node == loser.node and one.died_at_s < loser.died_at_s for one in stalled)


def _silent(one: DeathCertificate) -> bool:
    return one.diagnosis.cause is Cause.UNKNOWN and one.exit_status is None


def _one_per_rank(certificates: Iterable[DeathCertificate]) -> list[DeathCertificate]:
    best: dict[int, DeathCertificate] = {}
    for one in certificates:
        other = best.get(one.rank)
        if other is None or _preference(one) < _preference(other):
            best[one.rank] = one
    return [best[rank] for rank in sorted(best)]


def _places(known: Sequence[DeathCertificate], *, everybody: bool) -> dict[int, str]:
    """The nodes worth telling: that of a rank which was lost with it always is."""
    return {one.rank: one.node for one in known if everybody or one.diagnosis.cause is Cause.NODE_LOST}


def _preference(one: DeathCertificate) -> tuple[int, int, bool, float, bytes]:
    """What a rank's own supervisor saw of an equal weight says more than that its node was lost to the head."""
    is_lost = one.diagnosis.cause is Cause.NODE_LOST
    return -one.generation, weight_of(one), is_lost, one.died_at_s, msgspec.msgpack.encode(one)


def _clock(one: DeathCertificate) -> tuple[bool, str]:
    """Whose clock stamped it: that of its node, or the head's, which alone knows that a node is lost."""
    is_lost = one.diagnosis.cause is Cause.NODE_LOST
    return is_lost, "" if is_lost else one.node


def _first(certificates: Sequence[DeathCertificate]) -> DeathCertificate:
    """The earliest by each clock, and of those the most direct: clocks of different nodes cannot be compared."""
    clocks = sorted({_clock(one) for one in certificates})
    earliest = [min((one for one in certificates if _clock(one) == clock), key=_earliness) for clock in clocks]
    return min(earliest, key=lambda one: (directness(one), _SURENESS[one.diagnosis.confidence], one.rank))


def _earliness(one: DeathCertificate) -> tuple[float, int, int, int]:
    return one.died_at_s, directness(one), _SURENESS[one.diagnosis.confidence], one.rank


def _named(
    heaviest: Sequence[DeathCertificate], known: Sequence[DeathCertificate], world_size: int, tell: Telling
) -> Verdict:
    """Name the first. It is only likely where no clock tells that it was the first."""
    first = _first(heaviest)
    others = tuple(one.rank for one in heaviest if one is not first)
    if others and len(known) == len(heaviest) >= world_size and _killed_together(heaviest):
        suspects = tuple(one.rank for one in heaviest)
        killed = f"{list_ranks(suspects, places=tell.places)} were killed from outside"
        sentence = f"{killed}; which was first is undetermined."
        return verdict_of(Cause.KILLED_NO_STDERR, None, Confidence.LIKELY, sentence, suspects)
    confidence = first.diagnosis.confidence
    ordered = all(
        _clock(one) == _clock(first) and one.died_at_s > first.died_at_s for one in heaviest if one is not first
    )
    if confidence is Confidence.CERTAIN and not ordered:
        confidence = Confidence.LIKELY
    return verdict_about(first, confidence, others, tell)


def _killed_together(heaviest: Sequence[DeathCertificate]) -> bool:
    """Every rank was ended by the same signal, and no clock tells one of them apart."""
    killed = all(one.diagnosis.cause is Cause.KILLED_NO_STDERR for one in heaviest)
    return killed and len({(one.node, one.died_at_s, one.exit_status) for one in heaviest}) == 1


def _from_standing(heaviest: Sequence[DeathCertificate], tell: Telling) -> Verdict:
    """Of ranks that stood still, the one that is behind is where to look."""
    least = min(one.step for one in heaviest)
    behind = [one for one in heaviest if one.step == least]
    if len(behind) == 1:
        others = tuple(one.rank for one in heaviest if one is not behind[0])
        confidence = Confidence.LIKELY if others else behind[0].diagnosis.confidence
        return verdict_about(behind[0], confidence, others, tell)
    suspects = tuple(one.rank for one in behind)
    kinds = {one.diagnosis.cause for one in behind if not _silent(one)} or {Cause.UNKNOWN}
    kind = min(kinds) if len(kinds) == 1 else Cause.UNKNOWN
    words = _STANDING.get(kind, "ended together") if not any(map(_silent, behind)) else "told no cause"
    if kind is Cause.STALLED and not tell.phase and words != "told no cause":
        words = behind[0].diagnosis.message
    sentence = f"{list_ranks(suspects, places=tell.places)} {words}; which of them is the cause is undetermined."
    return verdict_of(kind, None, Confidence.POSSIBLE, sentence, suspects)


def _from_connecting(
    refused: Sequence[DeathCertificate], known: Sequence[DeathCertificate], world_size: int, tell: Telling
) -> Verdict:
    """Nobody has a cause of its own, and a ring was not formed: follow who waited for whom to its end."""
    ranks = [one.rank for one in refused]
    ends = unreached(ranks, world_size)
    absent = [rank for rank in ends if rank not in {one.rank for one in known}]
    kind = Cause.RING_CONNECT_FAILED
    if not ends:
        words = "could not connect to their neighbours; where the ring is broken is undetermined"
        if len(ranks) == 1:
            words = "could not connect to itself; its hostfile names one rank only"
        sentence = f"{list_ranks(ranks, places=tell.places)} {words}."
        return verdict_of(kind, ranks[0] if len(ranks) == 1 else None, Confidence.POSSIBLE, sentence, tuple(ranks))
    rank = (absent or ends)[0]
    gave_up = f"{list_ranks(ranks, low=True, places=tell.places)} could not connect"
    if absent:
        sentence = f"{list_ranks([rank], places=tell.places)} was not there when the ring was formed; {gave_up}."
        others = tuple(one for one in absent if one != rank)
        return verdict_of(kind, rank, Confidence.LIKELY, sentence, others)
    sentence = (
        f"{list_ranks([rank], places=tell.places)} did not take part in time when the ring was formed; {gave_up}."
    )
    return verdict_of(kind, rank, Confidence.POSSIBLE, sentence, tuple(ranks))


def _from_symptoms(
    losers: Sequence[DeathCertificate], known: Sequence[DeathCertificate], world_size: int, tell: Telling
) -> Verdict:
    """Nobody has a cause of its own: ask whom the ring's neighbours complained about."""
    accusations = [Accusation(one.rank, line) for one in losers for line in (_first_line(one),) if line is not None]
    complaining = {one.rank for one in losers}
    cause = _first(losers).diagnosis.cause
    pointed_at = accused(accusations, world_size)
    silent = tuple(rank for rank in pointed_at if rank not in complaining)
    suspects = silent if len(silent) == 1 else pointed_at
    if len(suspects) == 1 and suspects[0] not in complaining:
        (rank,) = suspects
        own = next((one for one in known if one.rank == rank), None)
        if own is None or weight_of(own) is Weight.VICTIM or _silent(own):
            complainers = list_ranks(sorted(complaining), places=tell.places)
            silent_one = list_ranks([rank], low=True, places=tell.places)
            sentence = f"{complainers} lost the ring connection to {silent_one}, which left no cause."
            return verdict_of(cause, rank, Confidence.POSSIBLE, sentence)
        if len(complaining) > 1:
            return verdict_about(own, Confidence.LIKELY, (), tell)
    between = tuple(sorted({*suspects, *complaining}))
    words = (
        f"undetermined between {list_ranks(between, low=True, places=tell.places)}"
        if len(between) > 1
        else "undetermined"
    )
    sentence = f"A ring connection was lost; which rank failed first is {words}."
    return verdict_of(cause, None, Confidence.POSSIBLE, sentence, between)


def _first_line(certificate: DeathCertificate) -> str | None:
    """The first line by which the rank told of its loss."""
    lines = (*certificate.diagnosis.evidence, *certificate.stderr_tail)
    return next((line for line in lines if "ocket" in line and ("closed by" in line or "errno" in line)), None)
