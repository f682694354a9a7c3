"""The head's side of the bus: takes nodes in, notices when they are gone, and passes on what they say."""

import time
from collections.abc import Callable
from typing import assert_never

import anyio
from anyio.abc import TaskGroup
from loguru import logger

from diagnostics.incident import Incident
from supervisor.cluster.bus_line import BusLine
from supervisor.cluster.key_store import HEAD, KeyStore, KeyStoreError
from supervisor.cluster.line import Line
from supervisor.cluster.node_names import OWN_NODE
from supervisor.cluster.own_node import OwnNode
from supervisor.cluster.roster import Roster
from supervisor.core.compatibility import compare
from supervisor.core.head_epoch import HeadIdentity, overtaken
from supervisor.core.node_liveness import (
    Connected,
    Disconnected,
    Heard,
    LivenessInput,
    LivenessLimits,
    LossReason,
    NodeBack,
    NodeLiveness,
    NodeLost,
    Tick,
)
from transports.cluster.bus_errors import BusFull, MessageTooLong, NodeUnknown
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import NodeBeat
from transports.cluster.handshake import PROTOCOL_VERSION, Hello, Refused, Welcome
from transports.cluster.head_bus import HeadBus
from transports.cluster.messages import ClusterEvent, FromNode, IncidentsSoFar
from transports.cluster.node_facts import NodeFacts
from transports.cluster.requests import VerifiedGone, VerifyGone

_CLEAN_S = 10.0
_INCIDENTS_TOLD = 16


class HeadOvertaken(Exception):
    """This head must not go on: its cluster has a later one. The text says how it knows; `remedy` is for a person."""

    remedy = "Let the newer head go on. There is one head for each cluster; start it from its newest state folder only."


class Head:
    """Implements `transports.cluster.head_bus.HeadBusObserver`. Used from the event loop.

    Args:
        address: Where nodes reach it.
        port: The same; 0 takes a free one.
        keys: Its own keys, and those of its nodes.
        facts: What this machine is, for comparison.
        identity: Which start of which cluster's head it is.
        roster: Keeps the nodes.
        incidents: The newest incidents, newest first.
        liveness: When a node is lost.
        limits: The bus's bounds.
    """

    def __init__(
        self,
        *,
        address: str,
        port: int,
        keys: KeyStore,
        facts: NodeFacts,
        identity: HeadIdentity,
        roster: Roster,
        incidents: Callable[[], tuple[Incident, ...]],
        liveness: LivenessLimits,
        limits: BusLimits,
    ) -> None:
        self._keys = keys
        self.facts = facts
        self.identity = identity
        self._limits = limits
        self._api_url = ""
        self._roster = roster
        self._incidents = incidents
        self._liveness_limits = liveness
        self._liveness = NodeLiveness(liveness)
        self._connections: dict[str, int] = {}
        self._last_names: dict[bytes, str] = {}
        self._key_problem = ""
        self._last_connection = 0
        self._lines: dict[str, BusLine] = {}
        self._own: OwnNode | None = None
        self._tasks: TaskGroup | None = None
        self._stand_down = anyio.Event()
        self._overtaken = ""
        own = keys.own()
        self.public_key = own.public
        self.bus = HeadBus(address, port, own, self._name_of, self, limits=limits)

    def announce_api(self, url: str) -> None:
        """Let nodes know where the API is. To be called before `run`."""
        self._api_url = url

    async def run(self) -> None:
        """Serve the bus and watch the nodes, until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self.bus.run)
            self._tasks.start_soon(self._watch)

    async def until_overtaken(self) -> None:
        """Return when a node has shown that its cluster has a later head: end what runs, then leave."""
        await self._stand_down.wait()

    def check(self) -> None:
        """Raise what the head has to end with.

        Raises:
            HeadOvertaken: A node has followed a later head of this cluster.
        """
        if self._overtaken:
            raise HeadOvertaken(self._overtaken)

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(self._liveness_limits.tick_s)
            self._feed(Tick())
            self._roster.tick(time.monotonic())

    def add_own_node(self, own: OwnNode) -> None:
        """This machine is a node, too."""
        self._own = own
        self.greet_own_node()

    def greet_own_node(self) -> None:
        """This machine is here, with whatever it runs."""
        self._roster.came(OWN_NODE, Hello(PROTOCOL_VERSION, self.facts), ())

    def line(self, node: str) -> Line:
        """How a node is reached."""
        if self._own is not None and node == self._own.node:
            return self._own
        return self._lines.setdefault(node, BusLine(self.bus, node))

    def publish(self, event: ClusterEvent) -> None:
        """Tell every node."""
        self.bus.publish(event)

    def on_hello(self, node: str, hello: Hello) -> Welcome | Refused:
        """Take a node in, or say why not."""
        if hello.protocol_version != PROTOCOL_VERSION:
            ours = f"the head speaks version {PROTOCOL_VERSION} of the protocol, the node {hello.protocol_version}"
            return Refused(ours, f"Install ringwarden {self.facts.ringwarden_version} on the node.", permanent=True)
        identity = self.identity
        why_not = overtaken(identity, hello)
        if why_not is not None:
            self._overtaken = why_not
            self._stand_down.set()
            return Refused(why_not, "Join the newer head.", permanent=False)
        differences = compare(self.facts, hello.facts)
        for difference in differences:
            logger.bind(node=node).warning("node {}: {}", node, difference.sentence)
        refusing = [difference for difference in differences if difference.refuses]
        if refusing:
            remedies = dict.fromkeys(one.remedy for one in refusing)
            return Refused(" ".join(one.sentence for one in refusing), " ".join(remedies), permanent=True)
        logger.bind(node=node).info("node {} joined: {}, {}", node, hello.facts.hostname, hello.facts.chip)
        self.on_connected(node)
        self._roster.came(node, hello, tuple(one.sentence for one in differences))
        if self._tasks is not None:
            self._tasks.start_soon(self._catch_up, node, hello, self._roster.generation)
        return Welcome(
            cluster_id=identity.cluster_id,
            epoch=identity.epoch,
            node=node,
            api_url=self._api_url,
            events_from=0,
            heartbeat_s=self._limits.heartbeat_s,
            node_silence_s=self._limits.node_silence_s,
        )

    def on_message(self, node: str, message: FromNode) -> None:
        """A node told something."""
        self._feed(Heard(node))
        self._roster.tell(node, message)

    def on_connected(self, node: str) -> None:
        """A node's connection exists."""
        earlier = self._connections.get(node)
        self._last_connection += 1
        self._connections[node] = self._last_connection
        self._feed(Connected(node, self._last_connection))
        if earlier is not None:
            # Of a session that was replaced or forgotten, the bus does not tell the end.
            self._feed(Disconnected(node, earlier))

    def on_disconnected(self, node: str) -> None:
        """A node's connection closed."""
        connection = self._connections.pop(node, None)
        if connection is not None:
            self._feed(Disconnected(node, connection))

    def on_heartbeat(self, node: str, beat: NodeBeat) -> None:
        """A node lives."""
        self._feed(Heard(node))
        known = self._roster.entry(node)
        if known is not None:
            known.heard_at = beat.received_at_s

    def on_refused(self, address: str, reason: str) -> None:
        """Somebody was not let in, or broke the protocol."""
        logger.warning("refused {}: {}", address, reason)

    def _feed(self, liveness_input: LivenessInput) -> None:
        for action in self._liveness.handle(liveness_input, time.monotonic()):
            match action:
                case NodeLost(node, reason):
                    because = self._because(reason)
                    # What it says from now on belongs to another life: it has to introduce itself again.
                    self.bus.forget(node)
                    self._roster.lost(node, because, is_certain=reason is LossReason.DISCONNECTED)
                case NodeBack():
                    pass  # Its hello says so, with more in it.
                case _:
                    assert_never(action)

    async def _catch_up(self, node: str, hello: Hello, generation: int) -> None:
        """Tell a new session what it missed, and end what its node kept of generations that the group has left.

        Whatever ran there before is dead to the group, that of the `generation` at its hello included. Before a
        takeover there is none, and what is taken over a moment later must not be ended.
        """
        self._tell_incidents(node)
        if not any(one.generation <= generation for one in hello.running):
            return
        answer = await self.line(node).request(VerifyGone(generation + 1), _CLEAN_S)
        if not isinstance(answer, VerifiedGone) or answer.remaining_pids:
            logger.bind(node=node).warning("node {} is not clean of older generations: {}", node, answer)

    def _tell_incidents(self, node: str) -> None:
        incidents = self._incidents()[:_INCIDENTS_TOLD]
        while incidents:
            try:
                self.bus.send(node, IncidentsSoFar(incidents))
            except (NodeUnknown, BusFull):
                return
            except MessageTooLong:
                incidents = incidents[: len(incidents) // 2]
            else:
                return

    def _because(self, reason: LossReason) -> str:
        limits = self._liveness_limits
        if reason is LossReason.SILENT:
            return f"nothing was heard of it for {limits.node_silence_s:g} s"
        return f"its connection closed and it did not come back within {limits.reconnect_grace_s:g} s"

    def _name_of(self, key: bytes) -> str | None:
        try:
            name = self._keys.name_of(key)
        except KeyStoreError as problem:
            # A file that somebody is editing withdraws no key: who was trusted stays, nobody else comes in.
            if str(problem) != self._key_problem:
                logger.error("no new node can be let in: {} {}", problem, problem.remedy)
            self._key_problem = str(problem)
            return self._last_names.get(key)
        self._key_problem = ""
        name = None if name == HEAD else name
        if name is None:
            self._last_names.pop(key, None)
        else:
            self._last_names[key] = name
        return name
