"""The head's own machine as one of its nodes: the same orders and answers, without a bus between."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from supervisor.cluster.node_names import OWN_NODE
from supervisor.cluster.node_ranks import NodeOutput, NodeRanks
from supervisor.cluster.node_requests import NodeRequests
from supervisor.cluster.prepared_models import PreparedModels
from supervisor.cluster.probes import Probes
from supervisor.guard import Guard
from supervisor.runner_supervisor import RunnerLimits
from transports.cluster.messages import FromNode, RankOrder
from transports.cluster.requests import (
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    RankObserved,
    RanksObserved,
)


class OwnNode:
    """Used from the event loop.

    Args:
        folder: For its ranks' files.
        environment: What runners inherit.
        limits: The bounds on each runner.
        guard: Ends the runners should this process die.
        output: Keeps what they print.
        progress: Takes a line for each step of a download, from any thread.
        tell: Takes what its ranks say: later, never within a call of this class.
        forgotten: Called when it has to introduce itself again.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        limits: RunnerLimits,
        guard: Guard,
        output: NodeOutput,
        progress: Callable[[str], None],
        tell: Callable[[str, FromNode], None],
        forgotten: Callable[[], None],
    ) -> None:
        self.node = OWN_NODE
        self._tell = tell
        self._forgotten = forgotten
        models = PreparedModels(progress)
        self.ranks = NodeRanks(
            folder=folder,
            environment=environment,
            limits=limits,
            guard=guard,
            models=models,
            output=output,
            tell=self._tell_later,
        )
        self.ranks.node = OWN_NODE
        self._requests = NodeRequests(self.ranks, models, Probes())

    async def run(self) -> None:
        """Run ranks until cancelled."""
        await self.ranks.run()

    def order(self, order: RankOrder) -> None:
        """Carry out an order."""
        self.ranks.order(order)

    async def request(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Carry out a request, within a deadline."""
        return await self._requests.answer(request, deadline_s)

    def forget(self) -> None:
        """This machine has no session that could end: it is here again at once."""
        self._forgotten()

    async def observe(self, generation: int, observe_s: float) -> tuple[RankObserved, ...]:
        """Look at its ranks."""
        answer = await self.request(ObserveRanks(generation, observe_s), observe_s + 1.0)
        return answer.ranks if isinstance(answer, RanksObserved) else ()

    def _tell_later(self, message: FromNode) -> None:
        # A machine that gives an order must not hear its consequences before it has returned.
        asyncio.get_running_loop().call_soon(self._tell, self.node, message)
