"""Which nodes of the cluster are there, as the head can tell from connections, messages and its own clock.

The theory. A node is lost when its last connection closed and none was back after `reconnect_grace_s`, or when nothing
was heard of it for `node_silence_s`. It is back when it connects again, or, still connected, speaks again.

Silence proves something only while the head itself listens. A head that was not scheduled (a closed lid, SIGSTOP, a
starved machine) finds its nodes' messages still unread afterwards. So time that passed between two inputs counts for
at most `max_gap_s`, and after a longer gap every node has a fresh window: one only, until it is heard again, so that
a head that always comes late still finds the dead.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec


class LivenessLimits(msgspec.Struct, frozen=True):
    """When a node is lost. `tick_s` is how often a Tick is due, well below the gap that betrays a sleeping head."""

    reconnect_grace_s: float = 0.5
    node_silence_s: float = 5.0
    tick_s: float = 0.25
    max_gap_s: float = 0.5


class LossReason(StrEnum):
    """How a node was lost."""

    DISCONNECTED = "disconnected"
    SILENT = "silent"


# --- inputs ---


class Connected(msgspec.Struct, frozen=True, tag=True):
    """A node's connection exists. `connection` tells it from the node's other ones, and is never used twice."""

    node: str
    connection: int


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """That connection closed."""

    node: str
    connection: int


class Heard(msgspec.Struct, frozen=True, tag=True):
    """The node said anything at all."""

    node: str


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; to be sent when `deadline` is reached."""


LivenessInput = Connected | Disconnected | Heard | Tick


# --- actions ---


class NodeLost(msgspec.Struct, frozen=True, tag=True):
    """The node counts as dead, and its ranks with it. `after_s` is how long it was away while the head listened."""

    node: str
    reason: LossReason
    after_s: float


class NodeBack(msgspec.Struct, frozen=True, tag=True):
    """A lost node is there again. What ran on it is of the past."""

    node: str


LivenessAction = NodeLost | NodeBack


class _Node:
    def __init__(self, listened_s: float) -> None:
        self.connections: set[int] = set()
        self.heard_at = listened_s
        self.closed_at: float | None = None
        self.lost: LossReason | None = None
        self.had_fresh_window = False

    def lost_at(self, limits: LivenessLimits) -> float:
        silent_at = self.heard_at + limits.node_silence_s
        return silent_at if self.closed_at is None else min(silent_at, self.closed_at + limits.reconnect_grace_s)


class NodeLiveness:
    """The machine. Feed it inputs with monotonic `now` in seconds; carry out what it returns, in order."""

    def __init__(self, limits: LivenessLimits) -> None:
        self._limits = limits
        self._nodes: dict[str, _Node] = {}
        self._input_at: float | None = None
        # The clock of everything below: seconds in which the head listened.
        self._listened_s = 0.0
        # Nobody can be lost before: hearing of a node only moves its time later, and needs no look at all others.
        self._look_at = math.inf

    @property
    def deadline(self) -> float | None:
        """When the next Tick is due, in `now`'s time; None while no node could be lost."""
        if self._look_at == math.inf or self._input_at is None:
            return None
        return self._input_at + max(0.0, min(self._limits.tick_s, self._look_at - self._listened_s))

    def lost(self, node: str) -> LossReason | None:
        """Why the node counts as lost; None for one that is there, or was never heard of."""
        known = self._nodes.get(node)
        return None if known is None else known.lost

    def forget(self, node: str) -> None:
        """The node left the cluster in an orderly way: nothing more is said about it."""
        self._nodes.pop(node, None)

    def handle(self, liveness_input: LivenessInput, now: float) -> Sequence[LivenessAction]:
        """Take one input; return what it changed, in order."""
        self._listen(now)
        back = self._take(liveness_input)
        return (*back, *self._find_lost())

    def _listen(self, now: float) -> None:
        passed_s = 0.0 if self._input_at is None else max(0.0, now - self._input_at)
        self._input_at = now if self._input_at is None else max(self._input_at, now)
        self._listened_s += min(passed_s, self._limits.max_gap_s)
        if passed_s <= self._limits.max_gap_s:
            return
        for node in self._nodes.values():
            if not node.had_fresh_window:
                node.had_fresh_window = True
                node.heard_at = self._listened_s
                node.closed_at = None if node.closed_at is None else self._listened_s

    def _take(self, liveness_input: LivenessInput) -> Sequence[LivenessAction]:
        match liveness_input:
            case Connected(name, connection):
                node = self._nodes.setdefault(name, _Node(self._listened_s))
                node.connections.add(connection)
                node.closed_at = None
                return self._heard(name, node)
            case Disconnected(name, connection):
                self._closed(name, connection)
            case Heard(name):
                # A message that was read after its connection closed says nothing about now.
                node = self._nodes.get(name)
                if node is not None and node.connections:
                    return self._heard(name, node)
            case Tick():
                pass
        return ()

    def _heard(self, name: str, node: _Node) -> Sequence[LivenessAction]:
        node.heard_at = self._listened_s
        node.had_fresh_window = False
        self._look_at = min(self._look_at, node.lost_at(self._limits))
        if node.lost is None:
            return ()
        node.lost = None
        return (NodeBack(name),)

    def _closed(self, name: str, connection: int) -> None:
        node = self._nodes.get(name)
        if node is not None and connection in node.connections:
            node.connections.discard(connection)
            if not node.connections:
                node.closed_at = self._listened_s
                self._look_at = min(self._look_at, node.lost_at(self._limits))

    def _find_lost(self) -> Sequence[LivenessAction]:
        if self._listened_s < self._look_at:
            return ()
        due = {name: node.lost_at(self._limits) for name, node in self._nodes.items() if node.lost is None}
        lost = sorted(name for name, lost_at in due.items() if self._listened_s >= lost_at)
        self._look_at = min((lost_at for name, lost_at in due.items() if name not in lost), default=math.inf)
        return tuple(self._lose(name, self._nodes[name]) for name in lost)

    def _lose(self, name: str, node: _Node) -> NodeLost:
        node.lost = LossReason.SILENT if node.closed_at is None else LossReason.DISCONNECTED
        since = node.heard_at if node.closed_at is None else node.closed_at
        return NodeLost(name, node.lost, self._listened_s - since)
