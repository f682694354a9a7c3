"""Death certificates of a group's ranks, in any order -> the one sentence of truth."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from diagnostics.cause import Cause
from diagnostics.causes import CAUSES
from diagnostics.incident import Confidence, DeathCertificate, Verdict
from diagnostics.phase import Phase
from diagnostics.ring_neighbours import Accusation, accused

_WHILE = {
    Phase.IDLE: "while starting",
    Phase.CONNECTING: "while connecting to the other ranks",
    Phase.CONNECTED: "after connecting to the other ranks",
    Phase.LOADING: "while loading the model",
    Phase.LOADED: "after loading the model",
    Phase.WARMING_UP: "while warming up",
    Phase.READY: "while waiting for work",
    Phase.RUNNING: "while generating",
    Phase.SHUTTING_DOWN: "while shutting down",
    Phase.SHUTDOWN: "after shutting down",
    Phase.FAILED: "",
}


_SIGABRT = 6


class _Weight(IntEnum):
    """How much a certificate explains the death of the whole group."""

    PRIMARY = 0
    """Its own trouble: nothing that happens on another rank leads to it."""
    LEFT = 1
    """It left, or its GPU waited too long: its own doing, unless another rank has a primary cause."""
    STOOD = 2
    """It did not go on, or ended without a reason: cause or victim."""
    LOST_PEER = 3
    """All it knows is that a peer went away."""
    VICTIM = 4
    """Ringwarden stopped it."""


_WEIGHTS = {
    Cause.KILLED_BY_SUPERVISOR: _Weight.VICTIM,
    Cause.STALLED: _Weight.STOOD,
    Cause.START_TIMEOUT: _Weight.STOOD,
    Cause.UNKNOWN: _Weight.STOOD,
    Cause.EXITED_EARLY: _Weight.LEFT,
    Cause.METAL_GPU_TIMEOUT: _Weight.LEFT,
    Cause.RING_CONNECT_FAILED: _Weight.LEFT,
}


def fold(certificates: Iterable[DeathCertificate], world_size: int) -> Verdict:
    """Name the rank and the cause. Pure, and the same for every order and repetition of the certificates.

    Args:
        certificates: What is known so far; several for one rank count as one.
        world_size: How many ranks the group has.
    """
    known = _one_per_rank(certificates)
    if not known:
        return _verdict(Cause.UNKNOWN, None, Confidence.POSSIBLE, "Nothing is known about the death of any rank.")
    weight = min(_weight(one) for one in known)
    heaviest = [one for one in known if _weight(one) is weight]
    stalled = [one for one in known if one.diagnosis.cause is Cause.STALLED]
    losers = [one for one in known if _weight(one) is _Weight.LOST_PEER and not _followed(one, stalled)]
    all_stand = all(one.diagnosis.cause is Cause.STALLED for one in heaviest)
    if losers and (weight is _Weight.LOST_PEER or (weight is _Weight.STOOD and all_stand)):
        return _from_symptoms(losers, known, world_size)
    if weight is _Weight.VICTIM:
        return _verdict(Cause.KILLED_BY_SUPERVISOR, None, Confidence.CERTAIN, "Ringwarden stopped the group.")
    if weight is _Weight.STOOD:
        return _from_standing(heaviest)
    return _named(heaviest)


def is_final(certificates: Iterable[DeathCertificate], world_size: int) -> bool:
    """Whether no further certificate can change who is named: a primary cause is certain, or every rank is known."""
    known = _one_per_rank(certificates)
    certain = any(_weight(one) is _Weight.PRIMARY and _certainly_first(one) for one in known)
    return certain or len(known) >= world_size


def _certainly_first(certificate: DeathCertificate) -> bool:
    """Who was killed from outside is to be named, however unsure it is who killed it."""
    diagnosis = certificate.diagnosis
    return diagnosis.confidence is Confidence.CERTAIN or diagnosis.cause is Cause.KILLED_NO_STDERR


def _weight(certificate: DeathCertificate) -> _Weight:
    if certificate.diagnosis.peer_loss:
        return _Weight.LEFT if _aborted_itself(certificate) else _Weight.LOST_PEER
    return _WEIGHTS.get(certificate.diagnosis.cause, _Weight.PRIMARY)


def _followed(loser: DeathCertificate, stalled: Sequence[DeathCertificate]) -> bool:
    """A rank that lost its peer only after that one had been ended for standing still says nothing about the stall.

    Judged on one node only, where one clock stamped both.
    """
    return any(one.node == loser.node and one.died_at_s < loser.died_at_s for one in stalled)


def _aborted_itself(certificate: DeathCertificate) -> bool:
    """MLX's ring says "Aborting" but does not abort: who really died of SIGABRT then did it on its own."""
    status = certificate.exit_status
    aborted = status is not None and status.signal == _SIGABRT and _SIGABRT not in certificate.signals_sent
    return aborted and certificate.diagnosis.cause is Cause.RING_ABORT


def _one_per_rank(certificates: Iterable[DeathCertificate]) -> list[DeathCertificate]:
    best: dict[int, DeathCertificate] = {}
    for one in certificates:
        other = best.get(one.rank)
        if other is None or _preference(one) < _preference(other):
            best[one.rank] = one
    return [best[rank] for rank in sorted(best)]


def _preference(one: DeathCertificate) -> tuple[int, int, float, bytes]:
    return -one.generation, _weight(one), one.died_at_s, msgspec.msgpack.encode(one)


def _named(heaviest: Sequence[DeathCertificate]) -> Verdict:
    """The earliest is named. Clocks of different nodes cannot be compared, so then it is only likely."""
    ordered = sorted(heaviest, key=lambda one: (one.died_at_s, one.rank))
    first = ordered[0]
    others = tuple(sorted(one.rank for one in ordered[1:]))
    confidence = first.diagnosis.confidence
    if others and confidence is Confidence.CERTAIN and len({one.node for one in ordered}) > 1:
        confidence = Confidence.LIKELY
    return _about(first, confidence, others)


def _from_standing(heaviest: Sequence[DeathCertificate]) -> Verdict:
    """Of ranks that stood still, the one that is behind is where to look."""
    least = min(one.step for one in heaviest)
    behind = [one for one in heaviest if one.step == least]
    if len(behind) == 1:
        others = tuple(one.rank for one in heaviest if one is not behind[0])
        confidence = Confidence.LIKELY if others else behind[0].diagnosis.confidence
        return _about(behind[0], confidence, others)
    suspects = tuple(one.rank for one in behind)
    first = min(behind, key=lambda one: (one.died_at_s, one.rank))
    kinds = {one.diagnosis.cause for one in behind}
    kind = first.diagnosis.cause if len(kinds) == 1 else Cause.UNKNOWN
    words = {Cause.STALLED: "stood still", Cause.START_TIMEOUT: "did not finish starting"}.get(kind, "ended")
    sentence = f"{_ranks(suspects)} {words} together; which of them is the cause is undetermined."
    return _verdict(kind, None, Confidence.POSSIBLE, sentence, suspects)


def _from_symptoms(losers: Sequence[DeathCertificate], known: Sequence[DeathCertificate], world_size: int) -> Verdict:
    """Nobody has a cause of its own: ask whom the ring's neighbours complained about."""
    accusations = [Accusation(one.rank, line) for one in losers for line in (_first_line(one),) if line is not None]
    complaining = {one.rank for one in losers}
    cause = min(losers, key=lambda one: (one.died_at_s, one.rank)).diagnosis.cause
    pointed_at = accused(accusations, world_size)
    silent = tuple(rank for rank in pointed_at if rank not in complaining)
    suspects = silent if len(silent) == 1 else pointed_at
    if len(suspects) == 1 and suspects[0] not in complaining:
        (rank,) = suspects
        own = next((one for one in known if one.rank == rank), None)
        if own is None or _weight(own) is _Weight.VICTIM:
            sentence = f"{_ranks(sorted(complaining))} lost the ring connection to rank {rank}, which left no cause."
            return _verdict(cause, rank, Confidence.POSSIBLE, sentence)
        if len(complaining) > 1:
            return _about(own, Confidence.LIKELY)
    between = tuple(sorted({*suspects, *complaining}))
    words = f"undetermined between {_ranks(between, low=True)}" if len(between) > 1 else "undetermined"
    sentence = f"A ring connection was lost; which rank failed first is {words}."
    return _verdict(cause, None, Confidence.POSSIBLE, sentence, between)


def _first_line(certificate: DeathCertificate) -> str | None:
    """The first line by which the rank told of its loss."""
    lines = (*certificate.diagnosis.evidence, *certificate.stderr_tail)
    return next((line for line in lines if "ocket" in line and ("closed by" in line or "errno" in line)), None)


def _about(certificate: DeathCertificate, confidence: Confidence, others: tuple[int, ...] = ()) -> Verdict:
    diagnosis = certificate.diagnosis
    clause, separator, detail = diagnosis.message.rstrip(". ").partition("; ")
    words = " ".join(part for part in (f"Rank {certificate.rank}", clause, _WHILE[certificate.phase]) if part)
    return Verdict(
        kind=diagnosis.cause,
        rank=certificate.rank,
        confidence=confidence,
        sentence=f"{words}{separator}{detail}.",
        advice=diagnosis.advice,
        retryable=diagnosis.retryable,
        suspects=others,
    )


def _verdict(
    kind: Cause, rank: int | None, confidence: Confidence, sentence: str, suspects: tuple[int, ...] = ()
) -> Verdict:
    facts = CAUSES[kind]
    return Verdict(kind, rank, confidence, sentence, facts.advice, facts.retryable, suspects)


def _ranks(ranks: Sequence[int], *, low: bool = False) -> str:
    names = [str(rank) for rank in ranks]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    noun = "rank" if len(names) == 1 else "ranks"
    return f"{noun if low else noun.capitalize()} {listed}"
