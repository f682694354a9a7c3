"""The connections that MLX makes between ranks, and what to say of one that cannot be made.

In the ring each rank listens on its own addresses for its left neighbour, and connects to every address of its right
one (`MLX v0.32.1 ring.cpp`); with JACCL every rank connects to rank 0's coordinator. Each edge of a ring is looked at
in both directions: traffic flows both ways, and the next placement may turn the ring around.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from diagnostics.errno_tables import describe_errno, errno_name
from diagnostics.evidence import OperatingSystem
from supervisor.core.placement import Placed

_MAX_PROBLEM_CHARACTERS = 300
_SYSTEM_NAMES = {OperatingSystem.DARWIN: "macOS", OperatingSystem.LINUX: "Linux"}


class RingEdge(msgspec.Struct, frozen=True):
    """One direction between two ranks: `from_node` connects to `to_node`, which listens at `address`."""

    from_rank: int
    to_rank: int
    from_node: str
    to_node: str
    address: str


class EdgeFailure(msgspec.Struct, frozen=True):
    """A connection that could not be made.

    Args:
        edge: Which.
        node: Who noticed: the listening node, or the connecting one.
        step: What failed.
        errno: Of that node's system, None when there is none.
        sentence: Names the hop, the address and what the errno means on that system.
        remedy: What to check, for a person.
    """

    edge: RingEdge
    node: str
    step: Literal["listen", "connect"]
    errno: int | None
    sentence: str
    remedy: str

    @property
    def rank(self) -> int:
        """The rank on the node that noticed."""
        return self.edge.to_rank if self.step == "listen" else self.edge.from_rank


def ring_edges(placed: Placed) -> tuple[RingEdge, ...]:
    """Return the edges to look at before a start, each pair of node and address once, in the order of the ranks."""
    places = placed.assignments
    pairs: list[tuple[int, int]] = []
    if placed.backend == "ring":
        for rank in range(len(places)):
            right = (rank + 1) % len(places)
            pairs += [(rank, right), (right, rank)]
    elif placed.backend == "jaccl":
        pairs = [(rank, 0) for rank in range(1, len(places))]
    edges: dict[tuple[str, str, str], RingEdge] = {}
    for from_rank, to_rank in pairs:
        source, target = places[from_rank], places[to_rank]
        for address in target.addresses if placed.backend == "ring" else target.addresses[:1]:
            edge = RingEdge(from_rank, to_rank, source.node, target.node, address)
            edges.setdefault((edge.from_node, edge.to_node, address), edge)
    return tuple(edges.values())


def cannot_listen(
    edge: RingEdge, errno: int | None, problem: str | None, systems: Mapping[str, OperatingSystem]
) -> EdgeFailure:
    """Return the failure of an edge whose listening node could not listen."""
    cause = _cause(errno, problem, systems[edge.to_node])
    sentence = f"Node {edge.to_node} cannot listen at {edge.address}: {cause}."
    name = None if errno is None else errno_name(errno, systems[edge.to_node])
    remedy = f"Check node {edge.to_node}."
    if name == "EADDRNOTAVAIL":
        remedy = f"Give node {edge.to_node} that address, or have the cluster use one that it has."
    return EdgeFailure(edge, edge.to_node, "listen", errno, sentence, remedy)


def cannot_connect(
    edge: RingEdge, errno: int | None, problem: str | None, systems: Mapping[str, OperatingSystem]
) -> EdgeFailure:
    """Return the failure of an edge whose connecting node did not get through."""
    cause = _cause(errno, problem, systems[edge.from_node])
    sentence = f"Node {edge.from_node} cannot connect to node {edge.to_node} at {edge.address}: {cause}."
    name = None if errno is None else errno_name(errno, systems[edge.from_node])
    return EdgeFailure(edge, edge.from_node, "connect", errno, sentence, _connect_remedy(edge, name))


def _cause(errno: int | None, problem: str | None, system: OperatingSystem) -> str:
    words = None if problem is None else problem[:_MAX_PROBLEM_CHARACTERS].rstrip(". ")
    if errno is None:
        return words or "no reason was given"
    number = f"{describe_errno(errno, system, socket=False)} on {_SYSTEM_NAMES[system]}"
    return number if words is None else f"{words}, {number}"


def _connect_remedy(edge: RingEdge, name: str | None) -> str:
    here, there, address = edge.from_node, edge.to_node, edge.address
    match name:
        case "ECONNREFUSED" | "ECONNRESET":
            return f"Check that {address} is an address of node {there}, and that its firewall lets programs listen."
        case "EHOSTUNREACH" | "EHOSTDOWN" | "ENETUNREACH" | "ENETDOWN":
            return (
                f"Check the cable and the route from node {here} to {address}; on macOS also Privacy & Security, Local "
                f"Network: what starts Ringwarden on node {here} needs it."
            )
        case "ETIMEDOUT":
            return f"Check the cable, and the firewall of node {there}: it may drop what it does not know."
        case "EADDRNOTAVAIL":
            return f"Check the addresses of node {here}: the one to connect from is not there."
        case "EACCES" | "EPERM":
            return f"Check the firewall of node {here}: it forbids the connection."
        case _:
            return f"Check that {address} leads from node {here} to node {there} and nowhere else."
