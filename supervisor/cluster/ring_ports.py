"""Ports for the ring of one generation, found by the nodes that will listen on them."""

from collections.abc import Callable

import anyio

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.cluster.line import Line, problem_of
from supervisor.core.placement import Placed
from transports.cluster.requests import PortsReserved, ReservePorts


class NoPorts(Exception):
    """A node has none. `rank` is the first that would have needed one there."""

    def __init__(self, rank: int, finding: SupervisorFinding) -> None:
        super().__init__(finding.message)
        self.rank = rank
        self.finding = finding


async def reserve_ports(placed: Placed, line: Callable[[str], Line], answer_s: float) -> tuple[tuple[int, ...], ...]:
    """Return the ports of each rank, one for each of its addresses in their order. Waits for all nodes together.

    Args:
        placed: The group's places; where the user fixed ports, those are returned.
        line: Gives a node's line.
        answer_s: How long a node may take.

    Raises:
        NoPorts: A node cannot listen where it should.
    """
    found = {one.rank: list(one.ports or [0] * len(one.addresses)) for one in placed.assignments}
    uses: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one in placed.assignments:
        for position, address in enumerate(() if one.ports else one.addresses):
            uses.setdefault((one.node, address), []).append((one.rank, position))
    problems: list[NoPorts] = []

    async def reserve(node: str, address: str, users: list[tuple[int, int]]) -> None:
        # Together: of two requests for one address the second might get the first one's port.
        answer = await line(node).request(ReservePorts(address, len(users)), answer_s)
        if not isinstance(answer, PortsReserved) or len(answer.ports) != len(users):
            message = f"could not be started: no port of {address} on node {node}: {problem_of(answer)}"
            problems.append(NoPorts(users[0][0], SupervisorFinding(Cause.RING_BIND_FAILED, message)))
            return
        for (rank, position), port in zip(users, answer.ports, strict=True):
            found[rank][position] = port

    async with anyio.create_task_group() as tasks:
        for (node, address), users in uses.items():
            tasks.start_soon(reserve, node, address, users)
    if problems:
        raise min(problems, key=lambda problem: problem.rank)
    return tuple(tuple(found[one.rank]) for one in placed.assignments)
