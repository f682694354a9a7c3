"""Whether a model fits on given places, split one way or the other, and how the ranks can talk there."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from supervisor.core.model_share import (
    ModelNeeds,
    gibibytes,
    layer_bytes,
    layers_that_fit,
    split_by_capacity,
    tensor_rank_bytes,
    why_not_pipeline,
    why_not_tensor,
)
from supervisor.core.node_links import rdma_device, why_no_rdma, why_not_mesh
from supervisor.core.rank_places import Candidate, PlacedBackend, RankPlace, nodes_of

Nodes = Mapping[str, Candidate]
_OTHER_RANKS = "Use another number of ranks, or leave --parallel out."
_MORE_MEMORY = "Free memory there, join another node, or serve a smaller or more quantised model."


class Refusal(msgspec.Struct, frozen=True):
    """Why one way to place a group does not work. `missing_bytes` is set for a lack of memory."""

    sentence: str
    remedy: str
    missing_bytes: int = 0


def nearest(refusals: Sequence[Refusal]) -> Refusal:
    """Return the refusal that tells most: the smallest lack of memory, before numbers that do not divide."""
    return min(refusals, key=lambda each: (each.missing_bytes == 0, each.missing_bytes))


def tensor_refusal(places: Sequence[RankPlace], nodes: Nodes, needs: ModelNeeds) -> Refusal | None:
    """Return why an even share of every tensor does not fit, or None when it does."""
    if problem := why_not_tensor(needs, len(places)):
        return Refusal(_sentence(problem), _OTHER_RANKS)
    of_rank = tensor_rank_bytes(needs, len(places))
    lacks = {
        node: lack
        for node, count in Counter(place.node for place in places).items()
        if (lack := count * of_rank - nodes[node].facts.available_memory_bytes) > 0
    }
    if not lacks:
        return None
    worst = max(lacks, key=lambda node: lacks[node])
    free = nodes[worst].facts.available_memory_bytes
    sentence = (
        f"Node {worst} has {gibibytes(free)} free, and its share of the model takes {gibibytes(free + lacks[worst])}."
    )
    return Refusal(sentence, _MORE_MEMORY, sum(lacks.values()))


def pipeline_layers(places: Sequence[RankPlace], nodes: Nodes, needs: ModelNeeds) -> tuple[int, ...] | Refusal:
    """Return how many layers each rank gets, or why they do not fit."""
    if problem := why_not_pipeline(needs, len(places)):
        return Refusal(_sentence(problem), _OTHER_RANKS)
    counts = Counter(place.node for place in places)
    fits = {node: layers_that_fit(needs, nodes[node].facts.available_memory_bytes, counts[node]) for node in counts}
    seen: Counter[str] = Counter()
    capacities: list[int] = []
    for place in places:
        # Ranks of one node share what it can hold, as evenly as whole layers go.
        base, extra = divmod(fits[place.node], counts[place.node])
        capacities.append(base + (seen[place.node] < extra))
        seen[place.node] += 1
    layers = split_by_capacity(needs.layers, capacities)
    if layers is not None:
        return layers
    missing = max(needs.layers - sum(capacities), capacities.count(0)) * layer_bytes(needs)
    free = sum(nodes[node].facts.available_memory_bytes for node in counts)
    sentence = f"{name_nodes(tuple(counts))} can hold {sum(fits.values())} of the model's {needs.layers} layers"
    if 0 in capacities:
        sentence = f"Node {places[capacities.index(0)].node} has no room for a single layer of the model"
    return Refusal(f"{sentence}: {gibibytes(free)} are free.", _MORE_MEMORY, missing)


def choose_backend(
    places: Sequence[RankPlace], nodes: Nodes, wished: PlacedBackend | None
) -> tuple[PlacedBackend, str] | Refusal:
    """Return the backend and a sentence that explains it, or why the one that was asked for cannot be had."""
    if len(places) == 1:
        return "none", "One rank needs nobody to talk to."
    if wished == "none":
        return Refusal(f"{len(places)} ranks cannot work together without a backend.", "Ask for ring, or for one rank.")
    if unreachable := [place.node for place in places if not place.addresses]:
        sentence = f"Node {unreachable[0]} has no IPv4 address, and MLX connects ranks by no other."
        return Refusal(sentence, f"Give node {unreachable[0]} an IPv4 address on the network of the others.")
    if wished == "ring":
        return "ring", "TCP ring, as asked."
    problem = _why_not_jaccl(places, nodes)
    if problem is None:
        return "jaccl", "JACCL, because RDMA joins these nodes."
    if wished == "jaccl":
        return Refusal(f"JACCL cannot join these ranks: {problem}.", "Enable RDMA and wire the nodes, or use the ring.")
    return "ring", f"TCP ring, because for JACCL {problem}."


def with_rdma_devices(places: Sequence[RankPlace], nodes: Nodes) -> tuple[RankPlace, ...]:
    """Return the places with the devices that JACCL needs; those that the user fixed stay."""
    if any(place.rdma for place in places):
        return tuple(places)
    return tuple(
        msgspec.structs.replace(place, rdma=tuple(rdma_device(nodes[place.node].facts, each.node) for each in places))
        for place in places
    )


def name_nodes(names: Sequence[str]) -> str:
    """Return `Node a`, or `Nodes a, b and c`."""
    if len(names) == 1:
        return f"Node {names[0]}"
    return f"Nodes {', '.join(names[:-1])} and {names[-1]}"


def _why_not_jaccl(places: Sequence[RankPlace], nodes: Nodes) -> str | None:
    names = nodes_of(places)
    if len(names) < len(places):
        return "every rank needs a node of its own"
    facts = [(name, nodes[name].facts) for name in names]
    if problem := why_no_rdma(facts):
        return problem
    if not any(place.rdma for place in places):
        return why_not_mesh(facts)
    for place in places:
        # A mesh has a device for every pair; MLX's RDMA ring needs those to the neighbours alone.
        for neighbour in (places[place.rank - 1], places[(place.rank + 1) % len(places)]):
            if len(place.rdma) != len(places) or place.rdma[neighbour.rank] is None:
                return f"the hostfile names no RDMA device of node {place.node} to node {neighbour.node}"
    return None


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
