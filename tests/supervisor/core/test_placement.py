"""Where ranks go: what people expect. What holds for every cluster is in `test_placement_properties`."""

from collections.abc import Sequence

import msgspec

from supervisor.core.model_share import ModelNeeds
from supervisor.core.placement import DoesNotFit, Placed, place
from supervisor.core.rank_places import Candidate, PlacementWish, RankPlace
from tests.supervisor.core.placement_nodes import GIB, node

LARGE = ModelNeeds(weight_bytes=60 * GIB, layers=60, attention_heads=64, key_value_heads=8, digest="d")
SMALL = ModelNeeds(weight_bytes=6 * GIB, layers=30, attention_heads=30, key_value_heads=6)


def placed(candidates: Sequence[Candidate], needs: ModelNeeds, **wish: object) -> Placed:
    outcome = place(candidates, needs, PlacementWish(**wish))  # pyright: ignore[reportArgumentType]
    assert isinstance(outcome, Placed), outcome
    return outcome


def refused(candidates: Sequence[Candidate], needs: ModelNeeds, **wish: object) -> DoesNotFit:
    outcome = place(candidates, needs, PlacementWish(**wish))  # pyright: ignore[reportArgumentType]
    assert isinstance(outcome, DoesNotFit), outcome
    return outcome


# --- automatic ---


def test_one_node_that_holds_the_model_is_enough() -> None:
    outcome = placed([node("a", 20), node("b", 100), node("c", 30)], LARGE)
    assert outcome.assignments == (RankPlace(0, "b", ("127.0.0.1",)),)
    assert (outcome.backend, outcome.layers) == ("none", None)


def test_the_fewest_nodes_biggest_first() -> None:
    outcome = placed([node("a", 20), node("b", 50), node("c", 40), node("d", 45)], LARGE)
    assert outcome.nodes == ("b", "d")
    assert (outcome.parallel, outcome.backend) == ("tensor", "ring")
    assert [each.address for each in outcome.assignments] == ["10.0.0.98", "10.0.0.100"]


def test_uneven_nodes_get_layers_by_their_memory() -> None:
    outcome = placed([node("a", 20), node("b", 60)], LARGE)
    assert outcome.parallel == "pipeline"
    assert outcome.layers is not None
    assert sum(outcome.layers) == 60
    assert outcome.layers[0] > 2 * outcome.layers[1]
    assert outcome.uneven_layers == outcome.layers
    assert "Node a has 20.0 GiB free, and its share of the model takes 36.2 GiB." in outcome.why


def test_heads_that_do_not_divide_make_a_pipeline() -> None:
    outcome = placed([node(name, 3.5) for name in "abcd"], SMALL)
    assert outcome.parallel == "tensor"
    assert len(outcome.assignments) == 3
    outcome = placed([node(name, 2.5) for name in "abcd"], SMALL)
    assert (outcome.parallel, outcome.layers) == ("pipeline", (8, 8, 7, 7))
    assert "4 ranks cannot share 30 attention heads evenly" in outcome.why
    assert outcome.uneven_layers is None, "a model that only splits evenly can do it"


def test_ranks_take_a_node_each_before_they_share_one() -> None:
    nodes = [node("a", 20), node("b", 30), node("c", 10)]
    outcome = placed(nodes, SMALL, ranks=3)
    assert [each.node for each in outcome.assignments] == ["b", "a", "c"]
    outcome = placed(nodes, SMALL, ranks=6)
    assert [each.node for each in outcome.assignments] == ["b", "b", "a", "a", "c", "c"]
    outcome = placed(nodes[:2], SMALL, ranks=3)
    assert [each.node for each in outcome.assignments] == ["b", "b", "a"]


def test_ranks_on_one_node_meet_on_loopback() -> None:
    outcome = placed([node("a", 64, addresses=("fe80::1",))], SMALL, ranks=2)
    assert [each.addresses for each in outcome.assignments] == [("127.0.0.1",)] * 2
    assert outcome.backend == "ring"


def test_what_is_missing_is_counted() -> None:
    outcome = refused([node("a", 10), node("b", 20)], LARGE)
    assert 40 * GIB < outcome.missing_bytes < 50 * GIB
    assert outcome.remedy
    assert outcome.missing_nodes == ()


def test_no_node_at_all() -> None:
    assert "No node" in refused([], SMALL).sentence
    assert "No node" in refused([node("a", 99, alive=False)], SMALL).sentence


def test_a_node_that_only_has_ipv6_serves_alone_but_in_no_ring() -> None:
    only_ipv6 = node("b", 40, addresses=("fd00::2",))
    assert placed([only_ipv6], SMALL).nodes == ("b",)
    outcome = placed([node("a", 38), only_ipv6, node("c", 38)], LARGE)
    assert outcome.nodes == ("a", "c")
    assert "no IPv4 address" in refused([node("a", 40), only_ipv6], LARGE, nodes=("a", "b")).sentence


# --- named ---


def test_named_nodes_are_used_all_in_that_order() -> None:
    nodes = [node("a", 200), node("b", 50), node("c", 40)]
    assert placed(nodes, LARGE, nodes=("c", "a")).nodes == ("c", "a")
    assert [each.node for each in placed(nodes, SMALL, nodes=("c", "a"), ranks=3).assignments] == ["c", "a", "a"]


def test_an_absent_node_is_named() -> None:
    outcome = refused([node("a", 99), node("c", 99, alive=False)], SMALL, nodes=("a", "b", "c"))
    assert outcome.sentence == "Nodes b and c are named for this group, but not in the cluster."
    assert outcome.missing_nodes == ("b", "c")
    outcome = refused([node("a", 99)], SMALL, nodes=("a", "b"))
    assert outcome.sentence == "Node b is named for this group, but not in the cluster."


def test_another_copy_of_the_model_is_no_place() -> None:
    nodes = [node("a", 40, digest="d"), node("b", 40, digest="other")]
    assert "Node b has another version" in refused(nodes, LARGE, nodes=("a", "b")).sentence
    assert refused(nodes, LARGE).missing_bytes > 0


def test_fewer_ranks_than_named_nodes() -> None:
    outcome = refused([node("a", 99), node("b", 99)], SMALL, nodes=("a", "b"), ranks=1)
    assert "--ranks 1" in outcome.sentence
    assert "2" in outcome.remedy


def test_a_lost_node_leaves_its_work_to_the_rest() -> None:
    nodes = [node("a", 80), node("b", 40, alive=False), node("c", 80)]
    degraded = placed(nodes, LARGE, nodes=("a", "b", "c"), ranks=3, parallel="pipeline", allow_fewer=True)
    assert degraded.nodes == ("a", "c")
    assert degraded.layers == (30, 30)
    outcome = refused([node("a", 40), *nodes[1:2]], LARGE, nodes=("a", "b"), allow_fewer=True)
    assert outcome.missing_nodes == ("b",)
    assert outcome.missing_bytes > 30 * GIB


def test_the_rest_may_be_too_many_to_share_evenly() -> None:
    tensors_only = msgspec.structs.replace(LARGE, splits=("tensor",))
    nodes = [*(node(name, 40) for name in "abc"), node("d", 40, alive=False)]
    assert placed(nodes, tensors_only, nodes=("a", "b", "c", "d"), allow_fewer=True).nodes == ("a", "b")


def test_what_the_user_asks_for_is_not_replaced() -> None:
    nodes = [node(name, 60) for name in "abc"]
    outcome = refused(nodes, LARGE, nodes=("a", "b", "c"), parallel="tensor")
    assert "3 ranks cannot share 64 attention heads evenly" in outcome.sentence
    assert "backend" in refused(nodes, SMALL, ranks=2, backend="none").sentence
    only_tensors = msgspec.structs.replace(LARGE, splits=("tensor",))
    assert "by layers" in refused(nodes, only_tensors, nodes=("a", "b"), parallel="pipeline").sentence
    assert placed(nodes, msgspec.structs.replace(SMALL, splits=())).backend == "none"


# --- wires ---


def test_jaccl_where_every_node_is_wired_to_every_other() -> None:
    mesh = [node("a", 30, peers=("b", "c")), node("b", 30, peers=("a", "c")), node("c", 30, peers=("a", "b"))]
    outcome = placed(mesh, LARGE, parallel="pipeline")
    assert outcome.backend == "jaccl"
    assert outcome.assignments[1].rdma == ("rdma_en2", None, "rdma_en3")
    old = [*mesh[:2], node("c", 30, peers=("a", "b"), system_version="26.1.1")]
    assert "macOS 26.2" in placed(old, LARGE, parallel="pipeline").why
    cut = [*mesh[:2], node("c", 30, peers=("a",))]
    outcome = placed(cut, LARGE, parallel="pipeline")
    assert outcome.backend == "ring"
    assert "node c has no RDMA device that is up to node b" in outcome.why
    assert "JACCL" in refused(cut, LARGE, parallel="pipeline", backend="jaccl").sentence
    assert placed(mesh, LARGE, parallel="pipeline", backend="ring").backend == "ring"


def test_jaccl_that_was_asked_for_finds_the_nodes_that_are_wired() -> None:
    nodes = [node("a", 60), node("b", 50, peers=("c",)), node("c", 40, peers=("b",))]
    assert placed(nodes, LARGE, backend="jaccl").nodes == ("b", "c")
    assert "node of its own" in refused(nodes, SMALL, backend="jaccl", nodes=("b", "c"), ranks=3).sentence


def test_the_ring_goes_where_the_wires_are() -> None:
    chain = [
        node("a", 21, peers=("c", "d")),
        node("b", 20, peers=("c", "d")),
        node("c", 19, peers=("a", "b")),
        node("d", 18, peers=("a", "b")),
    ]
    assert placed(chain, LARGE, ranks=4).nodes == ("a", "c", "b", "d")


# --- a hostfile of the user's own ---


def test_fixed_places_are_kept_and_renumbered_without_a_lost_node() -> None:
    fixed = (
        RankPlace(0, "b", ("10.0.0.2",), rdma=(None, "x", "y")),
        RankPlace(1, "a", ("10.0.0.1",), rdma=("x", None, "z")),
        RankPlace(2, "c", ("10.0.0.3",), rdma=("y", "z", None)),
    )
    nodes = [node("a", 90), node("b", 90), node("c", 90)]
    outcome = placed(nodes, LARGE, fixed=fixed, backend="jaccl", parallel="pipeline")
    assert outcome.assignments == fixed
    lost = [nodes[0], node("b", 90, alive=False), nodes[2]]
    assert refused(lost, LARGE, fixed=fixed).missing_nodes == ("b",)
    outcome = placed(lost, LARGE, fixed=fixed, backend="jaccl", parallel="pipeline", allow_fewer=True)
    assert outcome.assignments == (
        RankPlace(0, "a", ("10.0.0.1",), rdma=(None, "z")),
        RankPlace(1, "c", ("10.0.0.3",), rdma=("z", None)),
    )
    holed = (*fixed[:2], RankPlace(2, "c", ("10.0.0.3",), rdma=("y", None, None)))
    assert "node c to node a" in refused(nodes, SMALL, fixed=holed, backend="jaccl").sentence
