"""A node at the other end of the bus, as its ranks need it."""

from loguru import logger

from transports.cluster.bus_errors import BusFull, NodeGone, NodeUnknown, RequestTimedOut
from transports.cluster.head_bus import HeadBus
from transports.cluster.messages import RankOrder
from transports.cluster.requests import (
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    RankObserved,
    RanksObserved,
    RequestFailed,
)

_ANSWER_S = 2.0


class BusLine:
    """Implements `supervisor.cluster.remote_rank.NodeLine`. Used from the event loop.

    Args:
        bus: The head's end.
        node: Which node.
    """

    def __init__(self, bus: HeadBus, node: str) -> None:
        self.node = node
        self._bus = bus

    def order(self, order: RankOrder) -> None:
        """Queue an order. A node that is gone, or reads nothing, is lost before it could have carried it out."""
        try:
            self._bus.send(self.node, order)
        except (NodeUnknown, NodeGone):
            return
        except BusFull as exc:
            logger.warning("node {} reads nothing: {}", self.node, exc)
            self._bus.forget(self.node)

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

    async def observe(self, generation: int, observe_s: float) -> tuple[RankObserved, ...]:
        """Let the node look at its ranks."""
        answer = await self.request(ObserveRanks(generation, observe_s), observe_s + _ANSWER_S)
        return answer.ranks if isinstance(answer, RanksObserved) else ()
