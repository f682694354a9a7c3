"""A head and nodes on loopback, each with an observer that remembers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from diagnostics.evidence import OperatingSystem
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import NodeBeat
from transports.cluster.handshake import Hello, Refused, Welcome
from transports.cluster.head_bus import HeadBus
from transports.cluster.keys import KeyPair, generate_key_pair
from transports.cluster.messages import (
    Answer,
    Ask,
    ClusterEvent,
    FromNode,
    GroupChanged,
    RankCommand,
    RankStarted,
    ToNode,
)
from transports.cluster.node_bus import NodeBus
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import PortsReserved, ReservePorts
from transports.http.gateway import GroupState
from transports.messages import Shutdown

WAIT_S = 20.0
QUICK = BusLimits(heartbeat_s=0.1, node_silence_s=1.0, reconnect_s=0.02, handshake_s=2.0, retransmit_s=0.3)
FACTS = NodeFacts("host", OperatingSystem.LINUX, "6", "chip", "x86_64", 2, 1, 1, "0.1", "3.11", None, None)


async def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Return once the condition holds; fail after `WAIT_S`."""
    with anyio.move_on_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no event of ours
            await anyio.sleep(0.005)
        return
    raise AssertionError(f"{what} did not happen within {WAIT_S} s")


def started(number: int) -> RankStarted:
    """A small message upward that carries a number."""
    return RankStarted(1, 0, number)


def ordered(number: int) -> RankCommand:
    """A small message downward that carries a number."""
    return RankCommand(number, 0, Shutdown())


def changed(number: int) -> GroupChanged:
    """An event that carries a number."""
    return GroupChanged(next(iter(GroupState)), number)


@dataclass
class HeadRecord:
    """Remembers what the head's bus told. `decide` answers a `Hello`."""

    limits: BusLimits = QUICK
    hellos: list[tuple[str, Hello]] = field(default_factory=list)
    messages: list[tuple[str, FromNode]] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    beats: list[tuple[str, NodeBeat]] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    decide: Callable[[str, Hello], Welcome | Refused] | None = None

    def on_hello(self, node: str, hello: Hello) -> Welcome | Refused:
        self.hellos.append((node, hello))
        if self.decide is not None:
            return self.decide(node, hello)
        return Welcome("cluster", 1, node, "http://head", 0, self.limits.heartbeat_s, self.limits.node_silence_s)

    def on_message(self, node: str, message: FromNode) -> None:
        self.messages.append((node, message))

    def on_connected(self, node: str) -> None:
        self.connections.append(("connected", node))

    def on_disconnected(self, node: str) -> None:
        self.connections.append(("disconnected", node))

    def on_heartbeat(self, node: str, beat: NodeBeat) -> None:
        self.beats.append((node, beat))

    def on_refused(self, address: str, reason: str) -> None:
        self.refusals.append((address, reason))

    def numbers(self, node: str = "n1") -> list[int]:
        """The numbers of what `started` made, as they came."""
        return [one.pid for name, one in self.messages if name == node and isinstance(one, RankStarted)]


@dataclass
class NodeRecord:
    """Remembers what a node's bus told, and answers `ReservePorts`."""

    welcomes: list[Welcome] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    messages: list[ToNode] = field(default_factory=list)
    events: list[tuple[int, ClusterEvent]] = field(default_factory=list)
    lost_events: list[tuple[int, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reached: int = 0
    bus: NodeBus | None = None

    def on_welcome(self, welcome: Welcome) -> None:
        self.welcomes.append(welcome)

    def on_refused(self, refused: Refused) -> None:
        self.refusals.append(refused)

    def on_message(self, message: ToNode) -> None:
        self.messages.append(message)
        if isinstance(message, Ask) and isinstance(message.request, ReservePorts) and message.request.count:
            assert self.bus is not None
            self.bus.send(Answer(message.request_id, PortsReserved(tuple(range(message.request.count)))))

    def on_event(self, event: ClusterEvent, sequence: int) -> None:
        self.events.append((sequence, event))

    def on_events_lost(self, first: int, last: int) -> None:
        self.lost_events.append((first, last))

    def on_reached(self) -> None:
        self.reached += 1

    def on_unreachable(self, error: str) -> None:
        self.errors.append(error)

    def numbers(self) -> list[int]:
        """The numbers of what `ordered` made, as they came."""
        return [one.generation for one in self.messages if isinstance(one, RankCommand)]


@dataclass
class Node:
    """A node's bus, what it told, and what ends it."""

    bus: NodeBus
    record: NodeRecord
    scope: anyio.CancelScope

    def end(self) -> None:
        self.scope.cancel()


class Cluster:
    """One head and the keys that it trusts; started and ended by `running_cluster`."""

    def __init__(self, tasks: TaskGroup, limits: BusLimits) -> None:
        self._tasks = tasks
        self.limits = limits
        self.head_keys = generate_key_pair()
        self.trusted: dict[bytes, str] = {}
        self.record = HeadRecord(limits)
        self.head: HeadBus = self._listen(0)
        self._head_scope: anyio.CancelScope | None = None

    def keys_for(self, name: str) -> KeyPair:
        """Keys that the head trusts under this name."""
        keys = generate_key_pair()
        self.trusted[keys.public] = name
        return keys

    async def start_head(self) -> None:
        """Let the head that listens run."""
        scope = self._head_scope = anyio.CancelScope()
        self._tasks.start_soon(_run, self.head.run, scope)
        await anyio.lowlevel.checkpoint()

    async def end_head(self) -> None:
        """End the head; its port is free when this returns."""
        assert self._head_scope is not None
        self._head_scope.cancel()
        await eventually(lambda: self.head.is_closed, "the end of the head")

    async def restart_head(self) -> None:
        """A new head on the old port: nothing is remembered."""
        port = self.head.port
        await self.end_head()
        self.record = HeadRecord(self.limits)
        self.head = self._listen(port)
        await self.start_head()

    def node(
        self,
        name: str = "n1",
        *,
        keys: KeyPair | None = None,
        head_key: bytes | None = None,
        head: str = "127.0.0.1",
        port: int | None = None,
        hello: Callable[[], Hello] = lambda: Hello(1, FACTS),
        limits: BusLimits | None = None,
        from_address: str | None = None,
    ) -> Node:
        """Start a node."""
        record = NodeRecord()
        record.bus = NodeBus(
            head,
            port or self.head.port,
            keys or self.keys_for(name),
            head_key or self.head_keys.public,
            hello,
            observer=record,
            limits=limits or self.limits,
            from_address=from_address,
        )
        node = Node(record.bus, record, anyio.CancelScope())
        self._tasks.start_soon(_run, node.bus.run, node.scope)
        return node

    async def joined(self, name: str = "n1", **options: object) -> Node:
        """Start a node and wait until it is welcome."""
        node = self.node(name, **options)  # type: ignore[arg-type]
        await eventually(lambda: node.record.welcomes, "the welcome")
        return node

    def _listen(self, port: int) -> HeadBus:
        return HeadBus("127.0.0.1", port, self.head_keys, self.trusted.get, self.record, limits=self.limits)


async def _run(run: Callable[[], object], scope: anyio.CancelScope) -> None:
    with scope:
        await run()  # type: ignore[misc]


@asynccontextmanager
async def running_cluster(limits: BusLimits = QUICK) -> AsyncIterator[Cluster]:
    """A head that runs; everything ends with the block."""
    async with anyio.create_task_group() as tasks:
        cluster = Cluster(tasks, limits)
        try:
            await cluster.start_head()
            yield cluster
        finally:
            tasks.cancel_scope.cancel()
