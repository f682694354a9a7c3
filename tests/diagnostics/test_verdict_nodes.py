"""Verdicts over several nodes: who is named, whatever their clocks say and the bus does to certificates."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, DeathCertificate, Verdict
from diagnostics.phase import Phase
from diagnostics.verdict import fold, is_final
from diagnostics.verdict_words import list_ranks
from supervisor.cluster.lost_node import certificate_of_lost_node
from tests.diagnostics.test_verdict import CLOSED, certificate, killed

SILENT = "nothing was heard of it for 5 s"
NODES = ["a", "b", "c"]


def lost(rank: int, node: str = "b", at_s: float = 50.0, **more: Any) -> DeathCertificate:
    return certificate_of_lost_node(rank, 1, node, SILENT, Phase.RUNNING, 7, at_s, **more)


def lost_peer(rank: int, node: str, died_at_s: float = 10.0) -> DeathCertificate:
    return certificate(rank, Cause.RING_PEER_CLOSED, peer_loss=True, evidence=(CLOSED,), node=node, died_at_s=died_at_s)


def test_a_lost_node_s_rank_is_named_with_its_node() -> None:
    verdict = fold([lost(2)], 3)
    assert verdict.sentence == (
        "Rank 2 on node b was lost with its node while generating; nothing was heard of it for 5 s."
    )
    assert (verdict.rank, verdict.kind, verdict.confidence) == (2, Cause.NODE_LOST, Confidence.CERTAIN)
    assert verdict.retryable


def test_who_lost_its_peer_on_another_node_is_not_named_whatever_the_clocks_say() -> None:
    for died_at_s in (0.001, 50.0, 1e9):
        assert fold([lost(2), lost_peer(0, "a", died_at_s), lost_peer(1, "c", died_at_s)], 3).rank == 2


def test_who_gave_the_ring_up_because_of_a_lost_node_and_lived_is_not_named() -> None:
    gave_up = certificate(1, Cause.RING_ABORT, node="a", died_at_s=49.0, message="gave up its ring connection")
    assert fold([lost(2), gave_up], 3).rank == 2
    assert fold([gave_up, lost_peer(0, "c")], 3).rank == 1
    assert not is_final([gave_up], 3)


def test_a_node_is_lost_with_all_its_ranks() -> None:
    verdict = fold([lost(3, at_s=50.001), lost(2), lost_peer(0, "a")], 4)
    assert verdict.sentence == "Node b was lost, and ranks 2 and 3 with it; nothing was heard of it for 5 s."
    assert (verdict.rank, verdict.suspects, verdict.confidence) == (2, (3,), Confidence.CERTAIN)


def test_several_nodes_lost_together_may_be_the_head_s_own_trouble() -> None:
    verdict = fold([lost(1, "b", 50.0), lost(2, "c", 51.2), lost_peer(0, "a")], 3)
    assert verdict.sentence == (
        "Nodes b and c were lost together, and ranks 1 and 2 with them; "
        "if they still run, it was the head's own network that failed."
    )
    assert (verdict.rank, verdict.suspects, verdict.confidence) == (None, (1, 2), Confidence.LIKELY)


def test_a_node_lost_much_later_is_not_the_beginning() -> None:
    verdict = fold([lost(2, "c", 57.0), lost(1, "b", 50.0)], 3)
    assert (verdict.rank, verdict.suspects, verdict.confidence) == (1, (2,), Confidence.CERTAIN)


def test_what_the_rank_s_own_node_tells_later_counts_more() -> None:
    own = certificate(2, Cause.SEGFAULT, node="b", died_at_s=9e9, message="crashed")
    verdict = fold([lost(2), own, lost_peer(0, "a")], 3)
    assert (verdict.kind, verdict.sentence) == (Cause.SEGFAULT, "Rank 2 on node b crashed while generating.")
    assert fold([lost(2), lost(3), own], 4).kind is Cause.SEGFAULT


@pytest.mark.parametrize(
    "own",
    [
        certificate(2, Cause.KILLED_BY_SUPERVISOR, node="b", died_at_s=0.0),
        certificate(2, Cause.RING_PEER_CLOSED, peer_loss=True, node="b", died_at_s=0.0),
        certificate(2, Cause.METAL_GPU_TIMEOUT, node="b", died_at_s=0.0),
        certificate(2, Cause.STALLED, node="b", died_at_s=0.0),
    ],
)
def test_what_only_follows_from_the_loss_does_not(own: DeathCertificate) -> None:
    assert fold([lost(2), own, lost_peer(0, "a")], 3).kind is Cause.NODE_LOST


def test_a_rank_s_own_error_elsewhere_is_the_more_direct_cause() -> None:
    raised = certificate(0, Cause.PYTHON_EXCEPTION_OTHER, node="a", died_at_s=1e9, message="raised ValueError")
    verdict = fold([lost(2), raised], 3)
    assert (verdict.rank, verdict.suspects, verdict.confidence) == (0, (2,), Confidence.LIKELY)
    assert verdict.sentence == "Rank 0 on node a raised ValueError while generating."


def test_a_silent_node_s_verdict_waits_for_other_silent_ones() -> None:
    assert is_final([lost(2)], 4)
    assert not is_final([lost(2, confidence=Confidence.LIKELY)], 4)


def test_sentences_name_nodes_when_there_are_several_and_never_on_one() -> None:
    assert "node" not in fold([killed(1), certificate(0, Cause.KILLED_BY_SUPERVISOR)], 2).sentence
    assert fold([killed(1)], 2, name_nodes=True).sentence.startswith("Rank 1 on node mac-1 was killed")
    both = [certificate(0, Cause.STALLED, node="a"), certificate(1, Cause.STALLED, node="b")]
    assert fold(both, 2).sentence.startswith("Ranks 0 (node a) and 1 (node b) stood still together")
    mutual = [lost_peer(0, "a"), lost_peer(1, "b")]
    assert "undetermined between ranks 0 (node a) and 1 (node b)" in fold(mutual, 2).sentence
    refused = certificate(1, Cause.RING_CONNECT_FAILED, node="b", evidence=("[ring] Couldn't connect",))
    late = certificate(2, Cause.START_TIMEOUT, node="c")
    assert fold([refused, late], 3).sentence == (
        "Rank 2 on node c did not take part in time when the ring was formed; rank 1 on node b could not connect."
    )


def test_ranks_are_listed_with_their_nodes() -> None:
    places = {0: "a", 1: "b", 2: "b"}
    assert list_ranks([1, 2], places=places) == "Ranks 1 and 2 on node b"
    assert list_ranks([0, 1, 2, 9], low=True, places=places) == "ranks 0 (node a), 1 (node b), 2 (node b) and 9"
    assert list_ranks([9], places=places) == "Rank 9"


# --- what a cluster does to certificates ---

OWN = st.sampled_from([one for one in Cause if one is not Cause.NODE_LOST])


@st.composite
def cluster_deaths(draw: st.DrawFn) -> list[DeathCertificate]:
    """Certificates of up to six ranks on three nodes: from the nodes, from the head that lost them, or both."""
    found: list[DeathCertificate] = []
    for rank in range(draw(st.integers(1, 6))):
        node = NODES[rank % 3]
        at_s = draw(st.sampled_from([50.0, 51.0, 60.0]))
        if draw(st.booleans()):
            found.append(
                lost(rank, node, at_s, confidence=draw(st.sampled_from([Confidence.CERTAIN, Confidence.LIKELY])))
            )
        if draw(st.booleans()):
            evidence = draw(st.sampled_from([(), (CLOSED,)]))
            peer_loss, step = draw(st.booleans()), draw(st.integers(0, 2))
            own = certificate(
                rank, draw(OWN), peer_loss=peer_loss, node=node, died_at_s=at_s, evidence=evidence, step=step
            )
            found.append(own)
    return found


def told(verdict: Verdict) -> bytes:
    return msgspec.json.encode(verdict)


@settings(deadline=None)
@given(cluster_deaths().flatmap(lambda all_: st.tuples(st.just(all_), st.permutations([*all_, *all_[:3]]))))
def test_reordered_and_doubled_certificates_give_every_node_the_same_verdict(
    case: tuple[list[DeathCertificate], list[DeathCertificate]],
) -> None:
    sent, arrived = case
    assert told(fold(sent, 6)) == told(fold(arrived, 6))
    assert is_final(sent, 6) == is_final(arrived, 6)
    after_the_wire = msgspec.msgpack.decode(msgspec.msgpack.encode(arrived), type=list[DeathCertificate])
    assert told(fold(sent, 6)) == told(fold(after_the_wire, 6))


@settings(deadline=None)
@given(cluster_deaths(), st.dictionaries(st.sampled_from(NODES), st.floats(-1e6, 1e6)))
def test_skewed_clocks_change_nothing(deaths: list[DeathCertificate], skews_s: dict[str, float]) -> None:
    """A node's clock may show anything; what the head stamped is not of that clock."""
    whole_skews_s = {node: float(round(skew_s)) for node, skew_s in skews_s.items()}
    skewed = [
        one
        if one.diagnosis.cause is Cause.NODE_LOST
        else replace(one, died_at_s=one.died_at_s + whole_skews_s.get(one.node, 0.0))
        for one in deaths
    ]
    assert told(fold(deaths, 6)) == told(fold(skewed, 6))


@settings(deadline=None)
@given(cluster_deaths(), st.lists(st.integers(0, 5), min_size=1), st.randoms(use_true_random=False))
def test_what_is_sent_again_after_a_loss_leads_to_the_same_verdict(
    deaths: list[DeathCertificate], again: list[int], order: Any
) -> None:
    """Each certificate arrives at least once in the end; on the way there, verdicts were made from fewer."""
    arrivals = [*deaths, *(deaths[number] for number in again if number < len(deaths))]
    order.shuffle(arrivals)
    for some in range(len(arrivals)):
        assert fold(arrivals[:some], 6).sentence.endswith(".")
    assert told(fold(arrivals, 6)) == told(fold(deaths, 6))


@settings(deadline=None)
@given(cluster_deaths(), st.sampled_from([50.0, 55.0]))
def test_beside_a_lost_node_nobody_is_named_who_only_noticed(deaths: list[DeathCertificate], at_s: float) -> None:
    verdict = fold([*deaths, lost(6, "d", at_s)], 7)
    named = {verdict.rank} - {None} or {*verdict.suspects}
    assert named
    for rank in named:
        own = [one for one in (*deaths, lost(6, "d", at_s)) if one.rank == rank]
        assert any(not one.diagnosis.peer_loss for one in own)
        assert any(one.diagnosis.cause is not Cause.KILLED_BY_SUPERVISOR for one in own)


@settings(deadline=None)
@given(cluster_deaths(), st.integers(0, 5), st.sampled_from([Cause.KILLED_BY_SUPERVISOR, Cause.RING_PEER_CLOSED]))
def test_a_victim_s_late_word_changes_nobody_s_name(deaths: list[DeathCertificate], rank: int, cause: Cause) -> None:
    """A node that comes back tells how its ranks were ended; a lost node stays the reason."""
    base = [one for one in deaths if one.rank != rank]
    gone = lost(rank, NODES[rank % 3])
    late = certificate(rank, cause, peer_loss=cause is Cause.RING_PEER_CLOSED, node=NODES[rank % 3], died_at_s=0.0)
    before, after = fold([*base, gone], 6), fold([*base, gone, late], 6)
    assert (before.rank, before.kind, before.suspects) == (after.rank, after.kind, after.suspects)
