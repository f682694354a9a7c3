"""Fencing: a node never goes back to an older head or over to another cluster, and an overtaken head is told so."""

from hypothesis import given
from hypothesis import strategies as st

from diagnostics.evidence import OperatingSystem
from supervisor.core.head_epoch import Follow, HeadIdentity, Refuse, judge, overtaken
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, Welcome
from transports.cluster.node_facts import NodeFacts

FACTS = NodeFacts("h", OperatingSystem.LINUX, "6", "cpu", "x86_64", 2, 1, 1, "0", "3.11", None, None)


def welcome(cluster_id: str = "c1", epoch: int = 3) -> Welcome:
    return Welcome(cluster_id, epoch, "b", "http://head:1", 0, 1.0, 5.0)


def test_a_node_without_a_cluster_follows_whoever_takes_it_in() -> None:
    assert judge(welcome(), None) == Follow(HeadIdentity("c1", 3), changed=True)


def test_it_follows_the_same_head_again_and_later_ones() -> None:
    followed = HeadIdentity("c1", 3)
    assert judge(welcome(epoch=3), followed) == Follow(followed, changed=False)
    assert judge(welcome(epoch=9), followed) == Follow(HeadIdentity("c1", 9), changed=True)


def test_it_never_goes_back() -> None:
    refused = judge(welcome(epoch=2), HeadIdentity("c1", 3))
    assert isinstance(refused, Refuse)
    assert "epoch 2" in refused.reason
    assert "epoch 3" in refused.reason
    assert "old head" in refused.remedy


def test_it_never_changes_cluster_without_a_person() -> None:
    refused = judge(welcome("c2", epoch=99), HeadIdentity("c1", 3))
    assert isinstance(refused, Refuse)
    assert refused.reason == "The head belongs to cluster c2, this node to cluster c1."
    assert "delete cluster.json" in refused.remedy


def test_a_head_without_an_identity_is_nobody() -> None:
    for odd in (welcome("", 1), welcome("c1", 0), welcome("c1", -5)):
        assert isinstance(judge(odd, None), Refuse)


def test_a_head_learns_that_it_was_overtaken() -> None:
    own = HeadIdentity("c1", 4)
    for epoch, expected in ((0, False), (4, False), (5, True)):
        told = overtaken(own, Hello(PROTOCOL_VERSION, FACTS, followed_epoch=epoch))
        assert (told is not None) == expected


@given(st.lists(st.builds(welcome, st.sampled_from(["c1", "c2"]), st.integers(-1, 6))))
def test_epochs_followed_only_grow_within_one_cluster(welcomes: list[Welcome]) -> None:
    followed: HeadIdentity | None = None
    for one in welcomes:
        judgement = judge(one, followed)
        if isinstance(judgement, Refuse):
            continue
        assert judgement.changed == (judgement.head != followed)
        assert followed is None or judgement.head.cluster_id == followed.cluster_id
        assert followed is None or judgement.head.epoch >= followed.epoch
        followed = judgement.head
