"""Where the ranks of a group go: which nodes, how many ranks on each, how the model is split, how they talk.

Pure and deterministic: the same nodes in any order give the same placement. The head asks before each start, so that a
node which is gone for good leads to a group on the rest, or to a sentence that says what is missing.
"""

from collections.abc import Mapping, Sequence

import msgspec

from supervisor.core.model_share import ModelNeeds, even_split, gibibytes, tensor_rank_bytes
from supervisor.core.rank_fit import (
    Refusal,
    choose_backend,
    name_nodes,
    nearest,
    pipeline_layers,
    tensor_refusal,
    with_rdma_devices,
)
from supervisor.core.rank_places import Candidate, PlacedBackend, PlacementWish, RankPlace, arrangements, nodes_of
from transports.messages import Parallelism


class Placed(msgspec.Struct, frozen=True):
    """The group's places, by rank. `layers` are each rank's in a pipeline, else None; `why` is for a person."""

    assignments: tuple[RankPlace, ...]
    parallel: Parallelism
    backend: PlacedBackend
    why: str
    layers: tuple[int, ...] | None = None

    @property
    def uneven_layers(self) -> tuple[int, ...] | None:
        """The layers where a runner has to be told: not all models of mlx-lm take another split than the even one."""
        layers = self.layers
        return None if layers is None or layers == even_split(sum(layers), len(layers)) else layers

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes in the order of their first rank."""
        return nodes_of(self.assignments)


class DoesNotFit(msgspec.Struct, frozen=True):
    """There is no place. `sentence` names what is missing, `remedy` says what a person can do."""

    sentence: str
    remedy: str
    missing_nodes: tuple[str, ...] = ()
    missing_bytes: int = 0


def place(candidates: Sequence[Candidate], needs: ModelNeeds, wish: PlacementWish) -> Placed | DoesNotFit:
    """Return the best placement that the wish allows.

    No node is given more than its available memory, by the rule of `model_share`. More memory, or another node, never
    makes a model unfit that fitted.

    Args:
        candidates: Every node that the head knows, with facts taken while no rank of this group runs there.
        needs: The model.
        wish: What the user said.
    """
    here = sorted(
        (each for each in candidates if each.alive and _has_the_model(each, needs)),
        key=lambda each: (-each.facts.available_memory_bytes, each.node),
    )
    nodes = {each.node: each for each in here}
    absent = tuple(node for node in wish.named if node not in nodes)
    if absent and not wish.allow_fewer:
        return _absent(absent, candidates)
    if wish.nodes is not None and wish.ranks is not None and wish.ranks < len(wish.named):
        sentence = f"--ranks {wish.ranks} leaves a node without work: --nodes names {len(wish.named)}."
        return DoesNotFit(sentence, f"Ask for {len(wish.named)} ranks or more, or name fewer nodes.")
    refusals: dict[int, list[Refusal]] = {}
    for places in arrangements(here, wish):
        outcome = _split(places, nodes, needs, wish)
        if isinstance(outcome, Placed):
            return outcome
        refusals.setdefault(len(nodes_of(places)), []).append(outcome)
    if not refusals:
        return DoesNotFit("No node is there to serve the model.", "Join one with `ringwarden join`.", absent)
    # That a few of the nodes are too small says nothing: what matters is what keeps most of them from serving.
    refusal = nearest(refusals[max(refusals)])
    return DoesNotFit(refusal.sentence, refusal.remedy, absent, refusal.missing_bytes)


def _has_the_model(candidate: Candidate, needs: ModelNeeds) -> bool:
    return candidate.digest is None or not needs.digest or candidate.digest == needs.digest


def _absent(absent: tuple[str, ...], candidates: Sequence[Candidate]) -> DoesNotFit:
    living = {each.node for each in candidates if each.alive}
    if differing := [node for node in absent if node in living]:
        sentence = f"Node {differing[0]} has another version of the model than the rest of the group."
        return DoesNotFit(sentence, f"Remove the model from the disk of node {differing[0]} and try again.", absent)
    is_here, there = ("is", "it") if len(absent) == 1 else ("are", "them")
    sentence = f"{name_nodes(absent)} {is_here} named for this group, but not in the cluster."
    return DoesNotFit(sentence, f"Start `ringwarden join` on {there}, or name other nodes.", absent)


def _split(
    places: tuple[RankPlace, ...], nodes: Mapping[str, Candidate], needs: ModelNeeds, wish: PlacementWish
) -> Placed | Refusal:
    choice = choose_backend(places, nodes, wish.backend)
    if isinstance(choice, Refusal):
        return choice
    backend, why_backend = choice
    if backend == "jaccl":
        places = with_rdma_devices(places, nodes)
    refusals: list[Refusal] = []
    if wish.parallel != "pipeline" or len(places) == 1:
        refusal = tensor_refusal(places, nodes, needs)
        if refusal is None:
            how = "" if len(places) == 1 else "Every rank takes an even share of each tensor. "
            return Placed(places, "tensor", backend, f"{_where(places, nodes, needs, wish)} {how}{why_backend}")
        refusals.append(refusal)
    if wish.parallel != "tensor" and len(places) > 1:
        layers = pipeline_layers(places, nodes, needs)
        if not isinstance(layers, Refusal):
            instead = f" Not by tensors: {refusals[0].sentence}" if refusals else ""
            how = f"The layers are split {'/'.join(map(str, layers))}.{instead}"
            why = f"{_where(places, nodes, needs, wish)} {how} {why_backend}"
            return Placed(places, "pipeline", backend, why, layers)
        refusals.append(layers)
    return nearest(refusals)


def _where(places: Sequence[RankPlace], nodes: Mapping[str, Candidate], needs: ModelNeeds, wish: PlacementWish) -> str:
    names = nodes_of(places)
    free = sum(nodes[name].facts.available_memory_bytes for name in names)
    needed = len(places) * tensor_rank_bytes(needs, len(places))
    rule = "as named" if wish.named else "the fewest that hold it" if wish.ranks is None else "one for each rank"
    ranks = "1 rank" if len(places) == 1 else f"{len(places)} ranks"
    return f"{name_nodes(names)} ({rule}) for {ranks}: {gibibytes(needed)} needed, {gibibytes(free)} free."
