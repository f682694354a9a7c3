import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from diagnostics.cause import Cause
from diagnostics.causes import CAUSES
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.phase import Phase
from diagnostics.verdict import fold, is_final
from diagnostics.verdict_weight import Weight, weight_of

CLOSED = "[ring] Socket 3 was closed by the peer"
SENDING = "[ring] Sending to socket 4 failed with errno 32"


def certificate(
    rank: int,
    cause: Cause,
    *,
    peer_loss: bool = False,
    died_at_s: float = 10.0,
    node: str = "mac-1",
    message: str = "failed",
    evidence: tuple[str, ...] = (),
    step: int = 0,
    generation: int = 1,
    confidence: Confidence = Confidence.CERTAIN,
    signal: int | None = None,
) -> DeathCertificate:
    facts = CAUSES[cause]
    diagnosis = Diagnosis(cause, confidence, message, facts.advice, facts.retryable, peer_loss, evidence)
    status = None if signal is None else ExitStatus(signal=signal)
    return DeathCertificate(rank, generation, node, 100 + rank, Phase.RUNNING, diagnosis, status, died_at_s, step)


def killed(rank: int, **more: float) -> DeathCertificate:
    message = "was killed by SIGKILL from outside Ringwarden; it left no message"
    return certificate(rank, Cause.KILLED_NO_STDERR, message=message, **more)


def lost_peer(rank: int, line: str = CLOSED, died_at_s: float = 10.0) -> DeathCertificate:
    cause = Cause.RING_SEND_ERRNO if line == SENDING else Cause.RING_PEER_CLOSED
    return certificate(rank, cause, peer_loss=True, evidence=(line,), died_at_s=died_at_s)


def test_the_sentence_names_rank_cause_and_phase() -> None:
    verdict = fold([lost_peer(0), killed(1)], 2)
    assert (
        verdict.sentence == "Rank 1 was killed by SIGKILL from outside Ringwarden while generating; it left no message."
    )
    assert (verdict.rank, verdict.kind, verdict.confidence) == (1, Cause.KILLED_NO_STDERR, Confidence.CERTAIN)


def test_a_local_cause_beats_symptoms_whatever_the_clocks_say() -> None:
    assert fold([lost_peer(0, died_at_s=1.0), killed(1, died_at_s=99.0)], 2).rank == 1


def test_of_several_causes_the_earliest_is_named_and_the_others_are_suspects() -> None:
    verdict = fold([killed(0, died_at_s=5.0), killed(2, died_at_s=4.0), lost_peer(1)], 3)
    assert (verdict.rank, verdict.suspects) == (2, (0,))


def test_clocks_of_two_nodes_make_it_only_likely() -> None:
    first = certificate(0, Cause.SEGFAULT, died_at_s=1.0, node="mac-1")
    second = certificate(1, Cause.SEGFAULT, died_at_s=2.0, node="mac-2")
    assert fold([first, second], 2).confidence is Confidence.LIKELY


def test_ranks_that_we_stopped_are_victims() -> None:
    assert fold([certificate(0, Cause.KILLED_BY_SUPERVISOR), killed(1)], 2).rank == 1
    only_victims = fold([certificate(rank, Cause.KILLED_BY_SUPERVISOR) for rank in (0, 1)], 2)
    assert (only_victims.kind, only_victims.rank) == (Cause.KILLED_BY_SUPERVISOR, None)


def test_who_left_early_is_named_before_who_lost_it() -> None:
    assert fold([lost_peer(0), certificate(1, Cause.EXITED_EARLY), lost_peer(2)], 3).rank == 1


def test_a_gpu_timeout_may_come_from_a_dead_peer() -> None:
    assert fold([certificate(0, Cause.METAL_GPU_TIMEOUT, died_at_s=1.0), killed(1, died_at_s=9.0)], 2).rank == 1
    assert fold([certificate(0, Cause.METAL_GPU_TIMEOUT), lost_peer(1)], 2).rank == 0


def test_neighbours_point_at_a_silent_rank() -> None:
    verdict = fold([lost_peer(1, CLOSED), lost_peer(3, SENDING)], 4)
    assert verdict.rank == 2
    assert verdict.confidence is Confidence.POSSIBLE


def test_two_ranks_that_lost_each_other_are_undetermined() -> None:
    verdict = fold([lost_peer(0), lost_peer(1)], 2)
    assert (verdict.rank, verdict.suspects) == (None, (0, 1))
    assert "undetermined between ranks 0 and 1" in verdict.sentence


def test_the_rank_that_is_behind_is_named_among_those_that_stood() -> None:
    stalled = [certificate(rank, Cause.STALLED, step=step) for rank, step in ((0, 12), (1, 9), (2, 12))]
    assert fold(stalled, 3).rank == 1
    together = [certificate(rank, Cause.STALLED, step=12) for rank in range(3)]
    assert (fold(together, 3).rank, fold(together, 3).suspects) == (None, (0, 1, 2))


def test_an_abort_after_the_ring_gave_up_is_the_aborting_rank_s_doing() -> None:
    aborted = certificate(1, Cause.RING_ABORT, peer_loss=True, signal=6)
    assert fold([lost_peer(0), aborted], 2).rank == 1


def test_the_newest_generation_of_a_rank_counts() -> None:
    old = certificate(1, Cause.SEGFAULT, generation=1)
    new = certificate(1, Cause.KILLED_NO_STDERR, generation=2)
    assert fold([old, new], 2).kind is Cause.KILLED_NO_STDERR


def test_no_certificates() -> None:
    verdict = fold([], 2)
    assert (verdict.kind, verdict.rank) == (Cause.UNKNOWN, None)
    assert not is_final([], 2)


def test_final_when_certain_or_complete() -> None:
    assert is_final([killed(1)], 4)
    assert not is_final([lost_peer(0)], 2)
    assert not is_final([certificate(0, Cause.METAL_GPU_TIMEOUT)], 2)
    assert not is_final([certificate(0, Cause.SEGFAULT, confidence=Confidence.LIKELY)], 2)
    assert is_final([lost_peer(0), lost_peer(1)], 2)


CERTIFICATES = st.builds(
    certificate,
    st.integers(0, 3),
    st.sampled_from(list(Cause)),
    peer_loss=st.booleans(),
    died_at_s=st.sampled_from([1.0, 2.0, 3.0]),
    node=st.sampled_from(["a", "b"]),
    message=st.sampled_from(["failed", "failed; badly", ""]),
    evidence=st.sampled_from([(), (CLOSED,), (SENDING,)]),
    step=st.integers(0, 2),
    generation=st.integers(1, 2),
    confidence=st.sampled_from(list(Confidence)),
    signal=st.sampled_from([None, 6, 9]),
)


@settings(deadline=None)
@given(st.lists(CERTIFICATES, max_size=6).flatmap(lambda few: st.tuples(st.just(few), st.permutations(few + few[:2]))))
def test_order_and_repetition_change_nothing(case: tuple[list[DeathCertificate], list[DeathCertificate]]) -> None:
    few, shuffled = case
    assert msgspec.json.encode(fold(few, 4)) == msgspec.json.encode(fold(shuffled, 4))
    assert is_final(few, 4) == is_final(shuffled, 4)


@settings(deadline=None)
@given(st.lists(CERTIFICATES, max_size=6), st.integers(1, 4))
def test_a_rank_or_suspects_or_nobody_to_blame(few: list[DeathCertificate], world_size: int) -> None:
    verdict = fold(few, world_size)
    assert verdict.sentence.endswith(".")
    blameless = verdict.kind in (Cause.KILLED_BY_SUPERVISOR, Cause.UNKNOWN)
    assert verdict.rank is not None or verdict.suspects or blameless


def refused(rank: int, died_at_s: float = 10.0) -> DeathCertificate:
    line = "RuntimeError: [ring] Couldn't connect (error: 61)"
    return certificate(rank, Cause.RING_CONNECT_FAILED, evidence=(line,), died_at_s=died_at_s)


def test_who_could_not_connect_points_at_its_right_neighbour() -> None:
    verdict = fold([refused(1)], 3)
    assert (verdict.rank, verdict.kind, verdict.confidence) == (2, Cause.RING_CONNECT_FAILED, Confidence.LIKELY)
    assert verdict.sentence == "Rank 2 was not there when the ring was formed; rank 1 could not connect."
    late = fold([refused(0), refused(1), certificate(2, Cause.START_TIMEOUT)], 3)
    assert (late.rank, late.suspects, late.confidence) == (2, (0, 1), Confidence.POSSIBLE)
    assert fold([refused(0), refused(1)], 2).rank is None


def test_a_rank_with_a_reason_of_its_own_is_named_before_who_could_not_connect() -> None:
    for cause in (Cause.RING_BIND_FAILED, Cause.SEGFAULT, Cause.EXITED_EARLY):
        assert fold([refused(0, died_at_s=1.0), certificate(1, cause)], 3).rank == 1
    own_settings = certificate(2, Cause.RING_CONNECT_FAILED, evidence=("RuntimeError: Can't parse address mac:x",))
    assert fold([refused(0, died_at_s=1.0), own_settings], 3).rank == 2


def test_a_phase_that_nobody_saw_is_not_told() -> None:
    verdict = fold([killed(1)], 2, phases_known=False)
    assert verdict.sentence == "Rank 1 was killed by SIGKILL from outside Ringwarden; it left no message."


MANY = st.lists(CERTIFICATES, max_size=6)
OWN_CAUSE = (Cause.SEGFAULT, Cause.KILLED_NO_STDERR, Cause.PYTHON_EXCEPTION_OTHER, Cause.RING_BIND_FAILED)


@settings(deadline=None)
@given(MANY, st.sampled_from(OWN_CAUSE), st.sampled_from([1.0, 2.0, 99.0]))
def test_beside_a_primary_cause_nobody_is_named_who_only_noticed(
    few: list[DeathCertificate], cause: Cause, died_at_s: float
) -> None:
    certificates = [*few, certificate(4, cause, died_at_s=died_at_s, node="c")]
    verdict = fold(certificates, 6)
    assert verdict.rank is not None
    newest = max(one.generation for one in certificates if one.rank == verdict.rank)
    own = [one for one in certificates if one.rank == verdict.rank and one.generation == newest]
    assert any(weight_of(one) is Weight.PRIMARY for one in own)


@settings(deadline=None)
@given(MANY, st.lists(st.sampled_from([lost_peer(5, CLOSED), certificate(5, Cause.KILLED_BY_SUPERVISOR)]), min_size=1))
def test_one_more_victim_changes_nobody_s_name(few: list[DeathCertificate], victims: list[DeathCertificate]) -> None:
    before = fold(few, 6)
    named = [one for one in few if one.rank == before.rank and one.diagnosis.cause is before.kind]
    if any(weight_of(one) <= Weight.LEFT for one in named):
        after = fold([*few, *victims], 6)
        assert (after.rank, after.kind) == (before.rank, before.kind)


@settings(deadline=None)
@given(MANY, st.sampled_from([-1e6, -1.5, 0.5, 1e6]))
def test_clocks_of_other_nodes_never_matter(few: list[DeathCertificate], shift_s: float) -> None:
    placed = [replace(one, node="ab"[one.rank % 2]) for one in few]
    # That a node is lost is stamped by the head, whichever node it is.
    by_b = [one.node == "b" and one.diagnosis.cause is not Cause.NODE_LOST for one in placed]
    shifted = [replace(one, died_at_s=one.died_at_s + shift_s * is_b) for one, is_b in zip(placed, by_b, strict=True)]
    assert fold(placed, 4) == fold(shifted, 4)


@settings(deadline=None)
@given(st.lists(CERTIFICATES, max_size=6, unique_by=lambda one: one.rank), st.integers(1, 3))
def test_a_turned_ring_turns_its_verdict(few: list[DeathCertificate], turn: int) -> None:
    timed = [replace(one, died_at_s=float(position), node="a", step=0) for position, one in enumerate(few)]
    turned = [replace(one, rank=(one.rank + turn) % 4) for one in timed]
    before, after = fold(timed, 4), fold(turned, 4)
    assert after.kind is before.kind
    assert {*after.suspects, after.rank} - {None} == {
        (rank + turn) % 4 for rank in {*before.suspects, before.rank} - {None}
    }
