"""Many nodes in one process, each with its own keys, session and connections: `python -m …simulated_nodes`."""

import signal
import time
from collections.abc import Sequence
from typing import Any

import anyio
import zmq
from anyio.abc import TaskGroup

from scripts.benchmarks.orders import obey
from scripts.benchmarks.simulated_ranks import SimulatedRanks
from supervisor.cluster.inventory import read_facts
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, Refused, Welcome
from transports.cluster.keys import KeyPair
from transports.cluster.messages import Answer, Ask, ClusterEvent, IncidentDeclared, ToNode
from transports.cluster.node_bus import NodeBus
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import (
    EdgeProbed,
    ModelPrepared,
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    OpenProbe,
    PortsReserved,
    PrepareModel,
    ProbeEdge,
    ProbeOpened,
    RankObserved,
    RanksObserved,
    ReservePorts,
    VerifiedGone,
    VerifyGone,
)

_SOCKETS = 4096
_STAMP = "stamp "


class SimulatedNode:
    """Implements `transports.cluster.bus_observers.NodeBusObserver`: answers at once, and stamps what it hears."""

    def __init__(self, keys: KeyPair, head_key: bytes, port: int, facts: NodeFacts, context: Any) -> None:
        hello = Hello(PROTOCOL_VERSION, facts)
        self.bus = NodeBus("127.0.0.1", port, keys, head_key, lambda: hello, observer=self, context=context)
        self.ranks = SimulatedRanks(self.bus.send)
        self.is_welcome = False
        self.latencies_s: list[float] = []
        self.incidents: dict[str, tuple[float, str]] = {}
        self.incident_versions = 0

    async def run(self) -> None:
        """Be a node until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.bus.run)
            tasks.start_soon(self.ranks.run)

    def on_welcome(self, welcome: Welcome) -> None:
        """It is in."""
        self.is_welcome = True

    def on_refused(self, refused: Refused) -> None:
        """No benchmark goes on without all its nodes."""
        raise RuntimeError(refused.reason)

    def on_message(self, message: ToNode) -> None:
        """Answer a request, or let the ranks obey."""
        if isinstance(message, Ask):
            self.bus.send(Answer(message.request_id, self._answer(message.request)))
        else:
            self.ranks.obey(message)

    def on_event(self, event: ClusterEvent, sequence: int) -> None:
        """Stamp it."""
        now = time.monotonic()
        if isinstance(event, IncidentDeclared):
            self.incident_versions += 1
            self.incidents.setdefault(event.incident.incident_id, (now, event.incident.message))
        elif event.reason is not None and event.reason.startswith(_STAMP):
            self.latencies_s.append(now - float(event.reason.removeprefix(_STAMP)))

    def on_events_lost(self, first: int, last: int) -> None:
        """Not in a benchmark."""
        raise RuntimeError(f"the events {first} to {last} are lost")

    def on_reached(self) -> None:
        """Nothing to do."""

    def on_unreachable(self, error: str) -> None:
        """The bus tries again; a node that never joins is noticed by who waits for it."""

    def _answer(self, request: NodeRequest) -> NodeAnswer:
        match request:
            case PrepareModel(model):
                return ModelPrepared(model, "digest", 1, 1, 0, 0)
            case ReservePorts(_, count):
                return PortsReserved(tuple(range(20000, 20000 + count)))
            case OpenProbe():
                return ProbeOpened(20000)
            case ProbeEdge():
                return EdgeProbed()
            case VerifyGone():
                return VerifiedGone((), 16 * 1024**3)
            case ObserveRanks():
                return RanksObserved(tuple(RankObserved(rank, False, 0.0) for rank in self.ranks.living))


class Simulator:
    """Obeys the benchmark."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._context: Any = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, _SOCKETS)
        self._nodes: list[SimulatedNode] = []

    async def join(self, port: int, head_key: str, keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Be one node for each pair of keys."""
        facts = read_facts()
        for public, secret in keys:
            pair = KeyPair(public.encode(), secret.encode())
            self._nodes.append(SimulatedNode(pair, head_key.encode(), port, facts, self._context))
            self._tasks.start_soon(self._nodes[-1].run)
        while not all(node.is_welcome for node in self._nodes):  # noqa: ASYNC110 - many nodes, one look
            await anyio.sleep(0.05)
        return {}

    async def kill(self, rank: int) -> dict[str, Any]:
        """One rank dies; tell when, if it is here."""
        ours = [node for node in self._nodes if rank in node.ranks.living]
        for node in ours:
            node.ranks.die(rank, signal.SIGKILL)
        return {"killed_at": time.monotonic() if ours else None}

    async def report(self) -> dict[str, Any]:
        """Tell the events of which the last report did not tell, and all incidents."""
        told = {
            "latencies_s": [node.latencies_s for node in self._nodes],
            "incidents": [node.incidents for node in self._nodes],
            "incident_versions": max(node.incident_versions for node in self._nodes),
        }
        for node in self._nodes:
            node.latencies_s, node.incident_versions = [], 0
        return told


async def main() -> None:
    """Simulate until the benchmark ends."""
    async with anyio.create_task_group() as tasks:
        simulator = Simulator(tasks)
        await obey({"join": simulator.join, "kill": simulator.kill, "report": simulator.report})
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
