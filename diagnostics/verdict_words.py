"""The sentences of verdicts."""

from collections.abc import Sequence

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


def verdict_about(
    certificate: DeathCertificate, confidence: Confidence, others: tuple[int, ...], *, tell_phase: bool
) -> Verdict:
    """The verdict that repeats what one rank's diagnosis says, with the rank's number in front."""
    diagnosis = certificate.diagnosis
    clause, separator, detail = diagnosis.message.rstrip(". ").partition("; ")
    phase = _WHILE[certificate.phase] if tell_phase else ""
    words = " ".join(part for part in (f"Rank {certificate.rank}", clause, phase) if part)
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


def list_ranks(ranks: Sequence[int], *, low: bool = False) -> str:
    """`Rank 2`, `Ranks 0, 1 and 2`; with a small first letter where `low` says so."""
    names = [str(rank) for rank in ranks]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    noun = "rank" if len(names) == 1 else "ranks"
    return f"{noun if low else noun.capitalize()} {listed}"
