"""Verdicts over logs that somebody collected by hand: no supervisor watched these ranks die."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport, SupervisorFinding
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis, Verdict
from diagnostics.phase import Phase
from diagnostics.ring_forming import Forming, misnumbered, read_forming, ring_size, waiting_ends
from diagnostics.verdict import fold
from diagnostics.verdict_words import list_ranks, verdict_of

_NOT_ENDED = "had not ended when the logs were collected"


class RankLog(msgspec.Struct, frozen=True):
    """What was collected of one rank.

    `exit_status` None means that nobody noted how it ended, or that it had not: `alive` tells which.
    """

    rank: int
    report: StreamReport
    exit_status: ExitStatus | None = None
    alive: bool = False


class PostMortem(msgspec.Struct, frozen=True):
    """The verdict over a group, and each rank's own diagnosis; None where nothing is wrong."""

    verdict: Verdict | None
    ranks: dict[int, Diagnosis | None]


def examine_group(logs: Sequence[RankLog], operating_system: OperatingSystem) -> PostMortem:
    """Say what happened to a group from what was kept of its ranks. Pure; independent of the order of `logs`.

    Args:
        logs: At least one; one for each rank number.
        operating_system: The system that wrote the logs; decides how errno and signal numbers read.
    """
    found = {log.rank: _certificate(log, operating_system) for log in sorted(logs, key=lambda one: one.rank)}
    troubled = [one for one in found.values() if not _well(one)]
    if not any(_tells_of_trouble(one) for one in troubled):
        return PostMortem(None, dict.fromkeys(found))
    verdict = _verdict(found, _needed(found, troubled))
    ranks = {rank: _own(one, verdict) for rank, one in found.items()}
    return PostMortem(verdict, ranks)


def _verdict(found: dict[int, DeathCertificate], involved: Sequence[DeathCertificate]) -> Verdict:
    lines = {rank: (*one.diagnosis.evidence, *one.stderr_tail) for rank, one in found.items()}
    formings = {rank: told for rank, text in lines.items() for told in (read_forming(text),) if told is not None}
    size = ring_size(found, formings.values(), [line for text in lines.values() for line in text])
    verdict = fold(involved, size, phases_known=False)
    if verdict.kind not in (Cause.STALLED, Cause.RING_CONNECT_FAILED):
        return verdict
    forming = _from_numbers(formings)
    if forming is None and verdict.kind is Cause.STALLED and verdict.rank is None:
        forming = _from_forming(found, formings, size) or _from_gaps(found, size)
    return forming or verdict


def _from_numbers(formings: dict[int, Forming]) -> Verdict | None:
    wrong = misnumbered(formings)
    if wrong is None:
        return None
    rank, taken = wrong
    sentence = f"Rank {rank} was started as rank {taken}; two processes took that place in the ring and none its own."
    return verdict_of(Cause.RING_CONNECT_FAILED, rank, Confidence.LIKELY, sentence)


def _from_forming(found: dict[int, DeathCertificate], formings: dict[int, Forming], size: int) -> Verdict | None:
    """All wait in the ring's set-up: for a rank that is not there, or for each other."""
    if len(formings) < len(found) or not any(one.accepting for one in formings.values()):
        return None
    ends, absent = waiting_ends(formings, size)
    if absent:
        was, them = ("was", "it") if len(ends) == 1 else ("were", "them")
        words = f"{list_ranks(ends)} {was} not there when the ring was formed"
        sentence = f"{words}; {list_ranks(sorted(found), low=True)} waited for {them}."
        return verdict_of(Cause.RING_CONNECT_FAILED, ends[0], Confidence.LIKELY, sentence, tuple(ends[1:]))
    if 1 < len(ends) < len(found):
        sentence = (
            f"{list_ranks(ends)} did not find each other when the ring was formed; which is at fault is undetermined."
        )
        return verdict_of(Cause.STALLED, None, Confidence.POSSIBLE, sentence, tuple(ends))
    return None


def _from_gaps(found: dict[int, DeathCertificate], size: int) -> Verdict | None:
    """All stand still, and a rank between them left no log. Where most are missing, they were just not collected."""
    if size > 2 * len(found):
        return None
    missing = [rank for rank in range(size) if rank not in found]
    if not missing:
        return None
    words = f"Nothing was collected of {list_ranks(missing, low=True)}, and all others had not ended"
    sentence = f"{words}; it may never have been started."
    return verdict_of(Cause.RING_CONNECT_FAILED, missing[0], Confidence.POSSIBLE, sentence, tuple(missing[1:]))


def _needed(found: dict[int, DeathCertificate], troubled: Sequence[DeathCertificate]) -> list[DeathCertificate]:
    """Ranks that exited with 0 left early when others needed them; when most did, the others are what is late."""
    ended_well = [one for one in found.values() if one.diagnosis.cause is Cause.EXITED_EARLY]
    only_stood = all(one.diagnosis.cause is Cause.STALLED for one in troubled)
    if only_stood and len(ended_well) > len(troubled):
        return list(troubled)
    return [*troubled, *ended_well]


def _well(one: DeathCertificate) -> bool:
    return one.diagnosis.cause is Cause.EXITED_EARLY


def _tells_of_trouble(one: DeathCertificate) -> bool:
    """A rank that left no word, and of which nobody noted how it ended, is no trouble by itself."""
    return one.diagnosis.cause is not Cause.UNKNOWN or one.exit_status is not None


def _own(one: DeathCertificate, verdict: Verdict) -> Diagnosis | None:
    blameless = _well(one) or not _tells_of_trouble(one)
    return None if blameless and verdict.rank != one.rank else one.diagnosis


def _certificate(log: RankLog, operating_system: OperatingSystem) -> DeathCertificate:
    return DeathCertificate(
        rank=log.rank,
        generation=0,
        node="",
        pid=0,
        phase=Phase.RUNNING,
        diagnosis=_diagnosis(log, operating_system),
        exit_status=log.exit_status,
        died_at_s=0.0,
        stderr_tail=log.report.tail,
    )


def _diagnosis(log: RankLog, system: OperatingSystem) -> Diagnosis:
    """Its own words first, also of a process that did not end; nothing is said of what only a supervisor can know."""
    status = None if log.alive else log.exit_status
    evidence = DeathEvidence(system, Phase.RUNNING, status, log.report, supervised=False)
    told = classify(evidence)
    if told.cause is Cause.UNKNOWN and log.alive:
        return classify(replace(evidence, finding=SupervisorFinding(Cause.STALLED, _NOT_ENDED)))
    if told.cause is Cause.UNKNOWN and status is None:
        return replace(told, message="left no message, and how it ended was not noted")
    if told.cause is Cause.EXITED_EARLY:
        return replace(told, message="exited with code 0 while other ranks still needed it")
    return told if status is not None else replace(told, confidence=_at_most_likely(told.confidence))


def _at_most_likely(confidence: Confidence) -> Confidence:
    return Confidence.LIKELY if confidence is Confidence.CERTAIN else confidence
