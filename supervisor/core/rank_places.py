"""Which nodes a group could be on, and how many ranks on each: what placement tries, the best first."""

import ipaddress
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Literal

import msgspec

from supervisor.core.node_links import ring_order
from transports.cluster.node_facts import NodeFacts
from transports.messages import Parallelism

PlacedBackend = Literal["ring", "jaccl", "none"]
RdmaNames = str | tuple[str, ...] | None

_MOST_NODES_TO_COMBINE = 10
_ONE_NODE = ("127.0.0.1",)


class Candidate(msgspec.Struct, frozen=True):
    """A node that the head knows by this name. `digest` is that of its copy of the model, None when not known."""

    node: str
    facts: NodeFacts
    alive: bool = True
    digest: str | None = None


class RankPlace(msgspec.Struct, frozen=True):
    """One rank's place.

    Args:
        rank: Its number.
        node: The node it runs on.
        addresses: Where the ring listens for its left neighbour; more than one means as many connections.
        ports: One for each address when the user fixed them; empty when free ones are to be found for each start.
        rdma: Its devices to each rank, for JACCL alone; None to itself.
    """

    rank: int
    node: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...] = ()
    rdma: tuple[RdmaNames, ...] = ()

    @property
    def address(self) -> str:
        """The first address: JACCL's coordinator meets the ranks at rank 0's."""
        return self.addresses[0]


class PlacementWish(msgspec.Struct, frozen=True):
    """What the user said; None leaves it to placement.

    Args:
        nodes: Use exactly these, in this order (`--nodes`).
        ranks: How many ranks; None means one on each node.
        parallel: How the model is split.
        backend: How ranks talk.
        fixed: A place for each rank, from the user's own hostfile; `nodes` and `ranks` are then not looked at.
        allow_fewer: Do without named nodes, or fixed places, that are gone.
    """

    nodes: tuple[str, ...] | None = None
    ranks: int | None = None
    parallel: Parallelism | None = None
    backend: PlacedBackend | None = None
    fixed: tuple[RankPlace, ...] | None = None
    allow_fewer: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """The nodes that the user named, one way or the other."""
        return tuple(dict.fromkeys(self.nodes or ())) if self.fixed is None else nodes_of(self.fixed)


def nodes_of(places: Sequence[RankPlace]) -> tuple[str, ...]:
    """Return the nodes in the order of their first rank."""
    return tuple(dict.fromkeys(place.node for place in places))


def arrangements(here: Sequence[Candidate], wish: PlacementWish) -> Iterator[tuple[RankPlace, ...]]:
    """Yield what to try, the best first; nothing when no node is there.

    Args:
        here: The nodes that can be used, most available memory first.
        wish: What the user said. Named nodes that are not here are left out.
    """
    if wish.fixed is not None:
        yield from _fixed(here, wish.fixed)
        return
    if wish.nodes is None:
        yield from _automatic(here, wish)
        return
    by_name = {each.node: each for each in here}
    rest = [by_name[node] for node in wish.named if node in by_name]
    if not rest:
        return
    if len(rest) == len(wish.named):
        yield places_on(rest, wish.ranks or len(rest))
        return
    yield places_on(rest, len(rest))
    yield from _automatic([each for each in here if each in rest], wish)


def places_on(nodes: Sequence[Candidate], ranks: int) -> tuple[RankPlace, ...]:
    """Return places for `ranks`, at least one on each node, in the order of the nodes.

    Further ranks go round robin, the node with most memory first; those of one node are neighbours, so that the ring
    leaves each node once. On one node they meet on 127.0.0.1, elsewhere on the node's first IPv4 address.
    """
    by_memory = sorted(nodes, key=lambda each: (-each.facts.available_memory_bytes, each.node))
    base, extra = divmod(ranks, len(nodes))
    counts = {each.node: base + (position < extra) for position, each in enumerate(by_memory)}
    of_ranks = [each for each in nodes for _ in range(counts[each.node])]
    one_node = len(nodes) == 1
    return tuple(
        RankPlace(rank, each.node, _ONE_NODE if one_node else ring_addresses(each.facts))
        for rank, each in enumerate(of_ranks)
    )


def ring_addresses(facts: NodeFacts) -> tuple[str, ...]:
    """Return the node's best address for MLX, in a tuple: it reads no IPv6 (`MLX v0.32.4`: "Can't parse address")."""
    return next(((address,) for address in facts.addresses if _is_ipv4(address)), ())


def _fixed(here: Sequence[Candidate], places: Sequence[RankPlace]) -> Iterator[tuple[RankPlace, ...]]:
    names = {each.node for each in here}
    kept = [place for place in places if place.node in names]
    if kept:
        yield tuple(
            msgspec.structs.replace(
                place, rank=rank, rdma=tuple(place.rdma[other.rank] for other in kept) if place.rdma else ()
            )
            for rank, place in enumerate(kept)
        )


def _automatic(here: Sequence[Candidate], wish: PlacementWish) -> Iterator[tuple[RankPlace, ...]]:
    """The fewest nodes first; when the number of ranks is given, as many nodes as there are ranks first.

    One Mac has one GPU: ranks that share it gain nothing, so they do only where there are not enough nodes.
    """
    reachable = [each for each in here if ring_addresses(each.facts)]
    most = len(here) if wish.ranks is None else min(len(here), wish.ranks)
    sizes = range(1, most + 1) if wish.ranks is None else range(most, 0, -1)
    for size in sizes:
        for chosen in _choices(here if size == 1 else reachable, size, wish):
            ordered = _in_ring_order(chosen)
            yield places_on(ordered, wish.ranks or size)


def _choices(here: Sequence[Candidate], size: int, wish: PlacementWish) -> Iterator[tuple[Candidate, ...]]:
    """Which nodes to take: the biggest, except where JACCL was asked for: then any that may be wired."""
    if size > len(here):
        return
    if wish.backend == "jaccl":
        yield from combinations(here[:_MOST_NODES_TO_COMBINE], size)
    else:
        yield tuple(here[:size])


def _in_ring_order(chosen: Sequence[Candidate]) -> list[Candidate]:
    by_name = {each.node: each for each in chosen}
    return [by_name[name] for name in ring_order([(each.node, each.facts) for each in chosen])]


def _is_ipv4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False
