"""Which nodes are wired to each other: what JACCL needs of them, and the order in which a ring uses most wires."""

from collections.abc import Sequence
from itertools import pairwise, permutations

from diagnostics.evidence import OperatingSystem
from transports.cluster.node_facts import NodeFacts

_JACCL_SINCE = (26, 2)
"""The first macOS with RDMA over Thunderbolt (`MLX 0.32.4` documentation, distributed communication)."""

_MOST_NODES_TO_TRY = 8
"""The 7! = 5040 orders of the others take milliseconds; a ring of more nodes keeps the order it has."""


def rdma_device(facts: NodeFacts, peer: str) -> str | None:
    """Return the name of the node's first RDMA device that is up and leads to `peer`."""
    return next((device.name for device in facts.rdma_devices if device.is_up and device.peer == peer), None)


def why_no_rdma(nodes: Sequence[tuple[str, NodeFacts]]) -> str | None:
    """Return which node's system has no RDMA over Thunderbolt, or None when all have."""
    for name, facts in nodes:
        if facts.system != OperatingSystem.DARWIN or _version(facts.system_version) < _JACCL_SINCE:
            return f"macOS 26.2 or later is needed, and node {name} has {facts.system} {facts.system_version}"
    return None


def why_not_mesh(nodes: Sequence[tuple[str, NodeFacts]]) -> str | None:
    """Return which two nodes no RDMA device joins, or None when every node has one to every other."""
    for name, facts in nodes:
        for peer, _ in nodes:
            if peer != name and rdma_device(facts, peer) is None:
                return f"node {name} has no RDMA device that is up to node {peer}"
    return None


def ring_order(nodes: Sequence[tuple[str, NodeFacts]]) -> tuple[str, ...]:
    """Return the names in the order with the most direct links around the ring; the first stays the first.

    Of two orders with as many links the one nearer to the given order wins.
    """
    names = [name for name, _ in nodes]
    facts = dict(nodes)
    if not 3 < len(names) <= _MOST_NODES_TO_TRY:
        return tuple(names)  # up to three nodes every order is the same ring

    def direct_links(rest: tuple[str, ...]) -> int:
        ring = (names[0], *rest, names[0])
        return sum(_linked(facts, left, right) for left, right in pairwise(ring))

    return (names[0], *max(permutations(names[1:]), key=direct_links))


def _linked(facts: dict[str, NodeFacts], left: str, right: str) -> bool:
    return rdma_device(facts[left], right) is not None and rdma_device(facts[right], left) is not None


def _version(text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
