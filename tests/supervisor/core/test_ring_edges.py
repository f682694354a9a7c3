"""Which connections MLX makes, and what is said of those that fail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.evidence import OperatingSystem
from supervisor.core.placement import Placed
from supervisor.core.rank_places import PlacedBackend, RankPlace
from supervisor.core.ring_edges import RingEdge, cannot_connect, cannot_listen, ring_edges

EDGE = RingEdge(1, 2, "b", "c", "10.0.0.3")
SYSTEMS = {"a": OperatingSystem.LINUX, "b": OperatingSystem.DARWIN, "c": OperatingSystem.LINUX}


def group(*places: tuple[str, str], backend: PlacedBackend = "ring") -> Placed:
    ranks = tuple(RankPlace(rank, node, tuple(of.split())) for rank, (node, of) in enumerate(places))
    return Placed(ranks, "tensor", backend, "")


def short(placed: Placed) -> list[str]:
    return [f"{edge.from_node}>{edge.to_node}@{edge.address}" for edge in ring_edges(placed)]


def test_every_neighbour_both_ways() -> None:
    placed = group(("a", "1.1.1.1"), ("b", "2.2.2.2"), ("c", "3.3.3.3"))
    assert short(placed) == [
        "a>b@2.2.2.2",
        "b>a@1.1.1.1",
        "b>c@3.3.3.3",
        "c>b@2.2.2.2",
        "c>a@1.1.1.1",
        "a>c@3.3.3.3",
    ]


def test_two_ranks_have_one_edge_and_its_reverse() -> None:
    assert short(group(("a", "1.1.1.1"), ("b", "2.2.2.2"))) == ["a>b@2.2.2.2", "b>a@1.1.1.1"]


def test_each_connection_between_two_ranks_counts() -> None:
    assert short(group(("a", "1.1.1.1 1.1.2.1"), ("b", "2.2.2.2 2.2.3.2"))) == [
        "a>b@2.2.2.2",
        "a>b@2.2.3.2",
        "b>a@1.1.1.1",
        "b>a@1.1.2.1",
    ]


def test_ranks_of_one_node_are_looked_at_once() -> None:
    assert short(group(("a", "1.1.1.1"), ("a", "1.1.1.1"), ("a", "1.1.1.1"))) == ["a>a@1.1.1.1"]


def test_one_rank_has_no_edge() -> None:
    assert ring_edges(group(("a", "1.1.1.1"), backend="none")) == ()


def test_with_jaccl_everybody_meets_at_rank_0() -> None:
    placed = group(("a", "1.1.1.1 9.9.9.9"), ("b", "2.2.2.2"), ("c", "3.3.3.3"), backend="jaccl")
    assert short(placed) == ["b>a@1.1.1.1", "c>a@1.1.1.1"]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=8))
def test_no_connection_of_the_ring_is_left_out(nodes: list[str]) -> None:
    placed = group(*((node, f"10.0.0.{ord(node)}") for node in nodes))
    found = short(placed)
    assert len(set(found)) == len(found)
    for rank, node in enumerate(nodes):
        right = nodes[(rank + 1) % len(nodes)]
        assert f"{node}>{right}@10.0.0.{ord(right)}" in found
        assert f"{right}>{node}@10.0.0.{ord(node)}" in found


@pytest.mark.parametrize(
    ("number", "words", "remedy"),
    [
        (61, "errno 61 (ECONNREFUSED, nobody listens there) on macOS", "firewall"),
        (65, "errno 65 (EHOSTUNREACH, no route to the host) on macOS", "Local Network"),
        (60, "errno 60 (ETIMEDOUT, the connection timed out) on macOS", "firewall of node c"),
        (49, "errno 49 (EADDRNOTAVAIL, the address is not on this host) on macOS", "addresses of node b"),
        (13, "errno 13 (EACCES, permission denied) on macOS", "firewall of node b"),
        (1_000, "errno 1000 on macOS", "10.0.0.3"),
    ],
)
def test_a_failure_speaks_the_language_of_the_node_that_noticed(number: int, words: str, remedy: str) -> None:
    failure = cannot_connect(EDGE, number, None, SYSTEMS)
    assert failure.sentence == f"Node b cannot connect to node c at 10.0.0.3: {words}."
    assert remedy in failure.remedy
    assert (failure.node, failure.rank, failure.step, failure.errno) == ("b", 1, "connect", number)


def test_the_listening_node_has_its_own_numbers() -> None:
    failure = cannot_listen(EDGE, 99, None, SYSTEMS)
    words = "errno 99 (EADDRNOTAVAIL, the address is not on this host) on Linux"
    assert failure.sentence == f"Node c cannot listen at 10.0.0.3: {words}."
    assert (failure.node, failure.rank, failure.step) == ("c", 2, "listen")


def test_a_problem_without_a_number_and_one_that_is_too_long() -> None:
    assert (
        "10.0.0.3: somebody else answers there."
        in cannot_connect(EDGE, None, "somebody else answers there", SYSTEMS).sentence
    )
    both = cannot_connect(EDGE, 60, "nothing came back within 2 s", SYSTEMS).sentence
    assert "nothing came back within 2 s, errno 60 (ETIMEDOUT" in both
    assert len(cannot_connect(EDGE, None, "x" * 100_000, SYSTEMS).sentence) < 500
    assert "no reason was given" in cannot_listen(EDGE, None, None, SYSTEMS).sentence
