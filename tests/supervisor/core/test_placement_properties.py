"""What holds for every cluster, model and wish."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.core.model_share import RUNTIME_BYTES, ModelNeeds, layer_bytes, split_by_capacity, tensor_rank_bytes
from supervisor.core.placement import DoesNotFit, Placed, place
from supervisor.core.rank_places import Candidate, PlacedBackend, PlacementWish
from tests.supervisor.core.placement_nodes import GIB, node
from transports.messages import Parallelism

NAMES = "abcdefghij"


@st.composite
def clusters(draw: st.DrawFn) -> list[Candidate]:
    sizes = draw(st.lists(st.integers(0, 64), min_size=1, max_size=6))
    names = NAMES[: len(sizes)]
    wired = draw(st.sets(st.sampled_from(names)))
    return [
        node(name, size / 2, peers=sorted(wired - {name}) if name in wired else ())
        for name, size in zip(names, sizes, strict=True)
    ]


MODELS = st.builds(
    ModelNeeds,
    weight_bytes=st.integers(1, 100 * GIB),
    layers=st.integers(1, 80),
    attention_heads=st.sampled_from([0, 12, 30, 64]),
    key_value_heads=st.sampled_from([0, 2, 6, 8]),
    splits=st.sampled_from([("tensor",), ("pipeline",), ("tensor", "pipeline")]),
)
PARALLEL: st.SearchStrategy[Parallelism | None] = st.sampled_from([None, "tensor", "pipeline"])
BACKEND: st.SearchStrategy[PlacedBackend | None] = st.sampled_from([None, "ring", "jaccl"])
WISHES = st.builds(PlacementWish, ranks=st.none() | st.integers(1, 9), parallel=PARALLEL, backend=BACKEND)


def bytes_by_node(outcome: Placed, needs: ModelNeeds) -> Counter[str]:
    used: Counter[str] = Counter()
    for each in outcome.assignments:
        if outcome.layers is None:
            used[each.node] += tensor_rank_bytes(needs, len(outcome.assignments))
        else:
            used[each.node] += outcome.layers[each.rank] * layer_bytes(needs) + RUNTIME_BYTES
    return used


@settings(deadline=None)
@given(clusters(), MODELS, WISHES)
def test_no_node_gets_more_than_it_has(cluster: list[Candidate], needs: ModelNeeds, wish: PlacementWish) -> None:
    outcome = place(cluster, needs, wish)
    if isinstance(outcome, DoesNotFit):
        assert outcome.sentence.endswith(".")
        assert outcome.remedy.endswith(".")
        return
    free = {each.node: each.facts.available_memory_bytes for each in cluster}
    assert all(used <= free[name] for name, used in bytes_by_node(outcome, needs).items())
    assert [each.rank for each in outcome.assignments] == list(range(len(outcome.assignments)))
    assert wish.ranks in (None, len(outcome.assignments))
    if outcome.layers is not None:
        assert sum(outcome.layers) == needs.layers
        assert min(outcome.layers) >= 1
    crossings = sum(each.node != outcome.assignments[each.rank - 1].node for each in outcome.assignments)
    assert crossings == (len(outcome.nodes) if len(outcome.nodes) > 1 else 0), "ranks of a node are neighbours"


@settings(deadline=None)
@given(clusters(), MODELS, WISHES, st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_does_not_matter(
    cluster: list[Candidate], needs: ModelNeeds, wish: PlacementWish, random: Random
) -> None:
    shuffled = list(cluster)
    random.shuffle(shuffled)
    assert place(shuffled, needs, wish) == place(cluster, needs, wish)


@settings(deadline=None)
@given(clusters(), MODELS, WISHES, st.data())
def test_more_never_makes_unfit(
    cluster: list[Candidate], needs: ModelNeeds, wish: PlacementWish, data: st.DataObject
) -> None:
    if isinstance(place(cluster, needs, wish), DoesNotFit):
        return
    grown = [
        replace(each, facts=replace(each.facts, available_memory_bytes=each.facts.available_memory_bytes + more * GIB))
        for each in cluster
        for more in [data.draw(st.integers(0, 30))]
    ]
    assert isinstance(place(grown, needs, wish), Placed)
    joined = [*cluster, node("z", data.draw(st.integers(0, 60)))]
    assert isinstance(place(joined, needs, wish), Placed)


@settings(deadline=None)
@given(st.integers(1, 100), st.lists(st.integers(0, 40), min_size=1, max_size=10))
def test_a_split_by_capacity_is_found_whenever_there_is_one(layers: int, capacities: list[int]) -> None:
    split = split_by_capacity(layers, capacities)
    possible = min(capacities) >= 1 and len(capacities) <= layers <= sum(capacities)
    assert (split is not None) == possible
    if split is not None:
        assert sum(split) == layers
        assert all(1 <= share <= capacity for share, capacity in zip(split, capacities, strict=True))
