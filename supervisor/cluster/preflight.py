"""Before a start: every connection that MLX will make is made once between listeners of our own."""

import secrets
from collections.abc import Awaitable, Callable, Mapping

import anyio
import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.core.placement import Placed
from supervisor.core.ring_edges import EdgeFailure, RingEdge, cannot_connect, cannot_listen, ring_edges
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import (
    EdgeProbed,
    NodeAnswer,
    NodeRequest,
    OpenProbe,
    ProbeEdge,
    ProbeOpened,
    RequestFailed,
)

BusRequest = Callable[[str, NodeRequest, float], Awaitable[NodeAnswer]]
"""Asks a node, and gives up after so many seconds; what goes wrong is an answer, too (`RequestFailed`)."""


class PreflightLimits(msgspec.Struct, frozen=True):
    """How long the steps may take, in seconds, and how many edges are looked at together.

    `connect_s` is longer than TCP waits for the answer to its first try: one lost packet is no fault.
    """

    connect_s: float = 2.5
    answer_s: float = 1.5
    total_s: float = 10.0
    max_edges_at_once: int = 128


async def check_ring(
    bus_request: BusRequest,
    placed: Placed,
    facts: Mapping[str, NodeFacts],
    limits: PreflightLimits = PreflightLimits(),  # noqa: B008 - frozen
) -> tuple[EdgeFailure, ...]:
    """Return the edges of the ring that cannot be connected, in the order of the ranks; empty when all can.

    To be called before the ring's ports are chosen: a probe's listener might get one of them. Bounded in time by
    `limits.total_s`; an edge without a result by then is a failure.

    Args:
        bus_request: Asks a node.
        placed: The group's places.
        facts: Of each of its nodes.
        limits: The bounds.
    """
    edges = ring_edges(placed)
    systems = {node: known.system for node, known in facts.items()}
    outcomes: dict[RingEdge, EdgeFailure | None] = {}
    places = anyio.CapacityLimiter(limits.max_edges_at_once)

    async def look(edge: RingEdge) -> None:
        async with places:
            outcomes[edge] = await _look_at(edge, bus_request, systems, limits)

    with anyio.move_on_after(limits.total_s):
        async with anyio.create_task_group() as tasks:
            for edge in edges:
                tasks.start_soon(look, edge)
    late = f"there was no result within {limits.total_s:g} s"
    found = [outcomes[edge] if edge in outcomes else cannot_connect(edge, None, late, systems) for edge in edges]
    return tuple(failure for failure in found if failure is not None)


async def _look_at(
    edge: RingEdge, bus_request: BusRequest, systems: Mapping[str, OperatingSystem], limits: PreflightLimits
) -> EdgeFailure | None:
    nonce = secrets.token_hex(16)
    # The connecting node may get its request late.
    open_s = limits.connect_s + limits.answer_s
    opened = await bus_request(edge.to_node, OpenProbe(edge.address, nonce, open_s), limits.answer_s)
    if not isinstance(opened, ProbeOpened):
        return cannot_listen(edge, None, _problem(opened), systems)
    if opened.errno is not None:
        return cannot_listen(edge, opened.errno, None, systems)
    probe = ProbeEdge(edge.address, opened.port, nonce, limits.connect_s)
    probed = await bus_request(edge.from_node, probe, limits.connect_s + limits.answer_s)
    if not isinstance(probed, EdgeProbed):
        return cannot_connect(edge, None, _problem(probed), systems)
    if probed.errno is None and probed.problem is None:
        return None
    return cannot_connect(edge, probed.errno, probed.problem, systems)


def _problem(answer: NodeAnswer) -> str:
    why = answer.problem if isinstance(answer, RequestFailed) else f"it answered with {type(answer).__name__}"
    return f"it took no part in the check ({why})"
