"""What a node does when its head asks: each request gets one answer, and never an exception."""

from typing import assert_never

import anyio
import psutil
from loguru import logger

from supervisor.cluster.node_ranks import NodeRanks
from supervisor.cluster.prepared_models import PreparedModels
from supervisor.cluster.probes import Probes
from supervisor.model_source import ModelSourceError
from supervisor.ports import free_ports
from supervisor.runner_supervisor import RunnerSupervisor
from transports.cluster.requests import (
    NodeAnswer,
    NodeRequest,
    ObserveRanks,
    OpenProbe,
    PortsReserved,
    PrepareModel,
    ProbeEdge,
    RankObserved,
    RanksObserved,
    RequestFailed,
    ReservePorts,
    VerifiedGone,
    VerifyGone,
)

_GONE_WITHIN_S = 8.0


class NodeRequests:
    """Answers a head's requests. Used from the event loop; requests are carried out concurrently.

    Args:
        ranks: The node's ranks.
        models: The models on its disk.
        probes: Its end of pre-flight checks.
    """

    def __init__(self, ranks: NodeRanks, models: PreparedModels, probes: Probes) -> None:
        self._ranks = ranks
        self._models = models
        self._probes = probes

    async def answer(self, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Carry out one request, or give it up after its deadline."""
        with anyio.move_on_after(deadline_s):
            return await self._answer(request)
        return RequestFailed(f"it was not done within {deadline_s:g} s")

    async def _answer(self, request: NodeRequest) -> NodeAnswer:
        try:
            return await self._carry_out(request)
        except ModelSourceError as problem:
            return RequestFailed(f"the model {problem.model!r} cannot be used: {problem.reason}", problem.remedy)
        except OSError as problem:
            return RequestFailed(f"{problem.strerror or problem}", errno=problem.errno)
        except Exception as problem:  # noqa: BLE001 - a request that nobody thought of must not end the ranks here
            logger.warning("a request of the head failed: {}: {}", type(problem).__name__, problem)
            return RequestFailed(f"{type(problem).__name__}: {problem}")

    async def _carry_out(self, request: NodeRequest) -> NodeAnswer:
        match request:
            case PrepareModel(model=model):
                return await self._models.prepare(model)
            case ReservePorts(address=address, count=count):
                return PortsReserved(tuple(free_ports(count, address)))
            case OpenProbe():
                return await self._probes.open(request)
            case ProbeEdge():
                return await self._probes.probe(request)
            case VerifyGone(before_generation=before_generation):
                return await self._verify_gone(before_generation)
            case ObserveRanks(generation=generation, observe_s=observe_s):
                return await self._observe(generation, observe_s)
            case _:
                assert_never(request)

    async def _verify_gone(self, before_generation: int) -> VerifiedGone:
        self._ranks.fence(before_generation)
        with anyio.move_on_after(_GONE_WITHIN_S):
            await self._ranks.until_gone(before_generation)
        return VerifiedGone(self._ranks.pids(before_generation=before_generation), psutil.virtual_memory().available)

    async def _observe(self, generation: int, observe_s: float) -> RanksObserved:
        seen: list[RankObserved] = []

        async def observe(runner: RunnerSupervisor) -> None:
            found = await runner.observe(observe_s)
            seen.append(RankObserved(found.rank, found.stopped, found.cpu_share))

        async with anyio.create_task_group() as tasks:
            for runner in self._ranks.handles(generation):
                tasks.start_soon(observe, runner)
        return RanksObserved(tuple(seen))
