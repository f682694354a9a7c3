"""Entries of a user's hostfile and the nodes that joined."""

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.user_hosts import match_hosts, wish_with_hosts
from supervisor.core.model_share import ModelNeeds
from supervisor.core.placement import DoesNotFit, Placed, place
from supervisor.core.rank_places import Candidate, PlacementWish, RankPlace
from supervisor.hostfile import HostEntry, Hostfile, HostfileError
from transports.cluster.node_facts import NodeFacts

GIB = 1024**3


def node(name: str, hostname: str, *addresses: str) -> Candidate:
    system = OperatingSystem.DARWIN
    facts = NodeFacts(
        hostname, system, "26.2", "chip", "arm64", 8, GIB, 64 * GIB, "0.1.0", "3.11", None, None, {}, addresses
    )
    return Candidate(name, facts)


NODES = [
    node("kitchen", "Studio-1.local", "10.0.0.1", "192.168.1.11"),
    node("cellar", "Studio-2.local", "10.0.0.2"),
    node("attic", "mini.example.org", "10.0.0.3"),
]


def hosts(*entries: HostEntry) -> Hostfile:
    return Hostfile(entries)


def test_by_address_by_name_and_by_host_name_in_the_order_of_the_file() -> None:
    read = hosts(
        HostEntry("cellar", ("10.9.9.9",)),
        HostEntry("mini.example.org.", ()),
        HostEntry("whatever", ("192.168.1.11",), (5000,)),
    )
    assert match_hosts(read, NODES) == (
        RankPlace(0, "cellar", ("10.9.9.9",)),
        RankPlace(1, "attic", ("10.0.0.3",)),
        RankPlace(2, "kitchen", ("192.168.1.11",), (5000,)),
    )
    assert match_hosts(hosts(HostEntry("studio-2", ())), NODES)[0].node == "cellar"


def test_the_address_tells_nodes_of_one_host_apart() -> None:
    nodes = [node("a", "laptop", "127.0.0.2"), node("b", "laptop", "127.0.0.3")]
    read = hosts(HostEntry("laptop", ("127.0.0.3",)), HostEntry("laptop", ("127.0.0.2",)))
    assert [each.node for each in match_hosts(read, nodes)] == ["b", "a"]
    with pytest.raises(HostfileError, match="rank 0 of the hostfile, laptop, is both node a and node b"):
        match_hosts(hosts(HostEntry("laptop", ())), nodes)


def test_a_host_that_is_no_node_is_missing_by_its_own_name() -> None:
    fixed = match_hosts(hosts(HostEntry("cellar", ()), HostEntry("garage", ("10.0.0.7",))), NODES)
    needs = ModelNeeds(GIB, 8)
    outcome = place(NODES, needs, PlacementWish(fixed=fixed))
    assert isinstance(outcome, DoesNotFit)
    assert outcome.sentence == "Node garage is named for this group, but not in the cluster."
    outcome = place(NODES, needs, PlacementWish(fixed=fixed[:1]))
    assert isinstance(outcome, Placed)
    assert outcome.nodes == ("cellar",)


def test_the_users_flags_beat_the_file() -> None:
    read = Hostfile((HostEntry("cellar", ()), HostEntry("attic", ())), "jaccl")
    wish = wish_with_hosts(PlacementWish(parallel="tensor"), read, NODES)
    assert (wish.backend, wish.parallel, wish.named) == ("jaccl", "tensor", ("cellar", "attic"))
    assert wish_with_hosts(PlacementWish(backend="ring"), read, NODES).backend == "ring"
