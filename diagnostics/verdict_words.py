"""The sentences of verdicts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from diagnostics.cause import Cause
from diagnostics.causes import CAUSES
from diagnostics.incident import Confidence, DeathCertificate, Verdict
from diagnostics.phase import Phase

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


class Telling(NamedTuple):
    """What sentences may tell. `places` are the nodes of ranks; empty when all are on one, or nobody knows."""

    phase: bool
    places: Mapping[int, str] = MappingProxyType({})


def verdict_about(
    certificate: DeathCertificate, confidence: Confidence, others: tuple[int, ...], tell: Telling
) -> Verdict:
    """The verdict that repeats what one rank's diagnosis says, with the rank's number in front."""
    diagnosis = certificate.diagnosis
    clause, separator, detail = diagnosis.message.rstrip(". ").partition("; ")
    phase = _WHILE[certificate.phase] if tell.phase else ""
    who = list_ranks([certificate.rank], places=tell.places)
    words = " ".join(part for part in (who, clause, phase) if part)
    return Verdict(
        kind=diagnosis.cause,
        rank=certificate.rank,
        confidence=confidence,
        sentence=f"{words}{separator}{detail}.",
        advice=diagnosis.advice,
        retryable=diagnosis.retryable,
        suspects=others,
    )


def verdict_of(
    kind: Cause, rank: int | None, confidence: Confidence, sentence: str, suspects: tuple[int, ...] = ()
) -> Verdict:
    """A verdict in its own words, with the advice of its cause."""
    facts = CAUSES[kind]
    return Verdict(kind, rank, confidence, sentence, facts.advice, facts.retryable, suspects)


def list_ranks(ranks: Sequence[int], *, low: bool = False, places: Mapping[int, str] = MappingProxyType({})) -> str:
    """`Rank 2`, `Ranks 0, 1 and 2`; with a small first letter where `low` says so.

    With `places`: `Rank 2 on node b`, `Ranks 1 and 2 on node b`, `Ranks 0 (node a) and 2 (node b)`.
    """
    nodes = {places.get(rank, "") for rank in ranks}
    apart = len(nodes) > 1
    listed = list_words([f"{rank} (node {places[rank]})" if apart and rank in places else str(rank) for rank in ranks])
    noun = "rank" if len(ranks) == 1 else "ranks"
    where = "" if apart or nodes == {""} else f" on node {min(nodes)}"
    return f"{noun if low else noun.capitalize()} {listed}{where}"


def list_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `words` is not empty."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
