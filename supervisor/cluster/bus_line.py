"""A node at the other end of the bus, as its ranks need it."""

import anyio
from loguru import logger

from transports.cluster.bus_errors import BusFull, NodeGone, NodeUnknown, RequestTimedOut
from transports.cluster.head_bus import HeadBus
from transports.cluster.messages import RankOrder, TasksInFlight
from transports.cluster.requests import (
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    RankObserved,
    RanksObserved,
    RequestFailed,
)

_ANSWER_S = 2.0


class _Look:
    def __init__(self) -> None:
        self.seen: tuple[RankObserved, ...] = ()
        self.ended = anyio.Event()


class BusLine:
    """Implements `supervisor.cluster.remote_rank.NodeLine`. Used from the event loop. One for all ranks of a node:
    what each of them says of the whole node goes there once.

    Args:
        bus: The head's end.
        node: Which node.
    """

    def __init__(self, bus: HeadBus, node: str) -> None:
        self.node = node
        self._bus = bus
        self._owed: TasksInFlight | None = None
        self._looks: dict[ObserveRanks, _Look] = {}

    def order(self, order: RankOrder) -> None:
        """Queue an order. A node that is gone, or reads nothing, is lost before it could have carried it out."""
        if order == self._owed:
            return
        try:
            self._bus.send(self.node, order)
        except (NodeUnknown, NodeGone):
            return
        except BusFull as exc:
            logger.bind(node=self.node).warning("node {} reads nothing: {}", self.node, exc)
            self._bus.forget(self.node)
            return
        if isinstance(order, TasksInFlight):
            self._owed = order

    async def request(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Ask, and wait for the answer within a deadline."""
        try:
            return await self._bus.request(self.node, request, deadline_s)
        except (NodeUnknown, NodeGone):
            return RequestFailed("the node is gone", "See that it runs and reaches the head.")
        except RequestTimedOut:
            return RequestFailed(f"the node did not answer within {deadline_s:g} s")
        except BusFull as exc:
            return RequestFailed(f"the node reads nothing: {exc}")

    def forget(self) -> None:
        """End the node's session: it has to say hello again."""
        self._bus.forget(self.node)

    async def observe(self, generation: int, observe_s: float) -> tuple[RankObserved, ...]:
        """Let the node look at its ranks, once for all who ask at the same time."""
        wanted = ObserveRanks(generation, observe_s)
        look = self._looks.get(wanted)
        if look is not None:
            await look.ended.wait()
            return look.seen
        look = self._looks[wanted] = _Look()
        try:
            answer = await self.request(wanted, observe_s + _ANSWER_S)
            look.seen = answer.ranks if isinstance(answer, RanksObserved) else ()
        finally:
            del self._looks[wanted]
            look.ended.set()
        return look.seen
