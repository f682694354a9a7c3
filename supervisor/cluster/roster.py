"""The nodes of a head and the ranks that run on them: who is there, who is lost, who is told what."""

import time
from collections.abc import Callable, Iterable
from typing import assert_never

import anyio
import msgspec
from loguru import logger

from diagnostics.incident import Confidence
from supervisor.cluster.clipped import clipped
from supervisor.cluster.hello_since import hello_since
from supervisor.cluster.lost_node import certificate_of_lost_node
from supervisor.cluster.node_entry import NodeEntry
from supervisor.cluster.remote_rank import RankMessage, RemoteRank
from supervisor.core.rank_places import Candidate
from supervisor.core.rdma_peers import with_rdma_peers
from transports.cluster.handshake import Hello
from transports.cluster.messages import (
    Answer,
    FromNode,
    RankAmended,
    RankDied,
    RankEvent,
    RankStarted,
    RankTaskOutput,
    RankUnkillable,
)


class Roster:
    """Used from the event loop; nothing waits.

    Args:
        node_return_s: How long a lost node is expected to come back.
    """

    def __init__(self, node_return_s: float) -> None:
        self._node_return_s = node_return_s
        self._notify: Callable[[], None] = _nobody
        self._next_change = anyio.Event()
        self._ticked_at = 0.0
        self._nodes: dict[str, NodeEntry] = {}
        self._ranks: dict[tuple[int, int], RemoteRank] = {}
        self.stale_messages = 0

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call this whenever a start that had no place may have one: a node came, or is not waited for any more."""
        self._notify = changed

    async def changed(self) -> None:
        """Return when a node came or was lost."""
        await self._next_change.wait()

    def _changed(self) -> None:
        self._next_change.set()
        self._next_change = anyio.Event()
        self._notify()

    @property
    def generation(self) -> int:
        """The generation whose ranks are expected; 0 before the first."""
        return max((generation for generation, _ in self._ranks), default=0)

    def tick(self, now: float) -> None:
        """Time has passed."""
        ends = [known.lost_at + self._node_return_s for known in self._nodes.values() if known.lost_at is not None]
        if any(self._ticked_at < end <= now for end in ends):
            self._changed()
        self._ticked_at = now

    def awaited(self, now: float) -> tuple[NodeEntry, ...]:
        """The lost nodes that may come back any moment."""
        return tuple(
            known
            for known in self.entries()
            if not known.is_here and known.lost_at is not None and now < known.lost_at + self._node_return_s
        )

    def entries(self) -> tuple[NodeEntry, ...]:
        """All nodes that were ever seen, by name."""
        return tuple(self._nodes[name] for name in sorted(self._nodes))

    def entry(self, node: str) -> NodeEntry | None:
        """One node, if it was ever seen."""
        return self._nodes.get(node)

    def is_here(self, node: str) -> bool:
        """Whether the node is there now."""
        known = self._nodes.get(node)
        return known is not None and known.is_here

    def candidates(self) -> tuple[Candidate, ...]:
        """What placement may choose from; whose cable leads to whom can only be told of all together."""
        wired = with_rdma_peers({known.name: known.facts for known in self.entries()})
        return tuple(Candidate(known.name, wired[known.name], known.is_here) for known in self.entries())

    def expect(self, ranks: Iterable[RemoteRank]) -> None:
        """The ranks of a new generation. Of the one before, a node may still tell how they died, of older ones not."""
        before = self.generation
        earlier = {key: one for key, one in self._ranks.items() if key[0] == before}
        self._ranks = {**earlier, **{(one.generation, one.rank): one for one in ranks}}
        for node in {one.node for one in self._ranks.values()}:
            entry = self._nodes.get(node)
            if entry is not None and entry.lost_because is not None:
                self._end_ranks(node, entry.lost_because)

    def came(self, node: str, hello: Hello, warnings: tuple[str, ...]) -> None:
        """A node said hello: what ran there before is dead to its group, even if it still runs."""
        deaths = tuple(clipped(certificate, node) for certificate in hello.deaths)
        known = self._nodes.get(node)
        if known is None:
            known = self._nodes[node] = NodeEntry(node, hello)
        known.hello, known.warnings = msgspec.structs.replace(hello, deaths=deaths), warnings
        known.is_here, known.lost_because, known.lost_at = True, None, None
        # A new agent has to look for its models again.
        known.model = known.problem = None
        for own in deaths:
            self._deliver(node, own.generation, own.rank, RankDied(own))
        self._end_ranks(node, "it lost its place with the head, or its agent was started anew")
        self._changed()

    def has_memory(self, node: str, available_bytes: int) -> None:
        """A node without ranks told what a model could take there."""
        self._nodes[node].available_bytes = available_bytes

    def lost(self, node: str, because: str, *, is_certain: bool = True) -> None:
        """A node is gone: its ranks are dead, as far as the group can know."""
        known = self._nodes.get(node)
        if known is None or not known.is_here:
            return
        known.is_here, known.lost_because = False, because
        logger.bind(node=node).warning("node {} is lost: {}", node, because)
        known.lost_at = time.monotonic()
        self._end_ranks(node, because, Confidence.CERTAIN if is_certain else Confidence.LIKELY)
        self._changed()

    def tell(self, node: str, message: FromNode) -> None:
        """A node said something about its ranks."""
        match message:
            case Answer():
                return
            case RankDied(certificate=certificate):
                own = clipped(certificate, node)
                self._deliver(node, own.generation, own.rank, RankDied(own))
            case RankAmended(certificate=certificate):
                own = clipped(certificate, node)
                self._deliver(node, own.generation, own.rank, RankAmended(own))
            case RankEvent() | RankStarted() | RankTaskOutput() | RankUnkillable():
                self._deliver(node, message.generation, message.rank, message)
            case _:
                assert_never(message)

    def _deliver(self, node: str, generation: int, rank: int, message: RankMessage) -> None:
        known = self._ranks.get((generation, rank))
        if known is not None and known.node == node:
            known.deliver(message)
        elif known is not None or not self._note(node, message):
            # Of an old generation, or of a rank that runs elsewhere.
            self.stale_messages += 1

    def _note(self, node: str, message: RankMessage) -> bool:
        """Keep a hello true until a takeover is decided. False when the message is about nothing in it."""
        entry = self._nodes.get(node)
        since = None if entry is None else hello_since(entry.hello, message)
        if entry is None or since is None or since is entry.hello:
            return False
        entry.hello = since
        self._changed()
        return True

    def _end_ranks(self, node: str, because: str, confidence: Confidence = Confidence.CERTAIN) -> None:
        for known in self._ranks.values():
            if known.node == node and not known.is_over:
                known.end(
                    certificate_of_lost_node(
                        known.rank,
                        known.generation,
                        node,
                        because,
                        known.phase,
                        known.step,
                        time.monotonic(),
                        confidence=confidence,
                    )
                )


def _nobody() -> None:
    return
