"""The ranks that run on one node: started, commanded and ended as a head orders, kept warm while it is away."""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, assert_never

import anyio
import msgspec
from anyio.abc import TaskGroup
from loguru import logger

from diagnostics.evidence import SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.phase import Phase
from supervisor.channel_end import ChannelFull
from supervisor.cluster.node_rank import NodeRank
from supervisor.cluster.prepared_models import PreparedModels
from supervisor.guard import Guard
from supervisor.incident_report import start_failure
from supervisor.launch import RunnerLaunch, runner_environment
from supervisor.runner_supervisor import RunnerLimits, RunnerSupervisor
from transports.cluster.handshake import RunningRank
from transports.cluster.messages import (
    CondemnRank,
    DumpStacks,
    FromNode,
    RankAmended,
    RankCommand,
    RankDied,
    RankOrder,
    StartRank,
    StopRank,
    TasksInFlight,
)
from transports.framing import FrameViolation
from transports.markers import new_token
from transports.messages import CancelTask, RejectionCode, StartTask, TaskRejected

MAX_UNREPORTED_DEATHS = 64


class NodeOutput(Protocol):
    """Keeps what happens on a node. Called on the event loop; must not block or raise."""

    def on_phase(self, rank: int, phase: Phase) -> None: ...

    def on_output(self, rank: int, stream: str, data: bytes) -> None: ...

    def on_generation(self, generation: int, model: str, world_size: int) -> None: ...


class NodeRanks:
    """Runs the ranks of one node. Used from the event loop only.

    Args:
        folder: For the files of each generation; the node's own.
        environment: What runners inherit.
        limits: The bounds on each runner.
        guard: Ends the runners should this process die.
        models: The models that are on this node's disk.
        output: Keeps what happens here.
        tell: Takes what the head should hear; never blocks.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        limits: RunnerLimits,
        guard: Guard,
        models: PreparedModels,
        output: NodeOutput,
        tell: Callable[[FromNode], None],
    ) -> None:
        self.node = ""
        self._folder = folder
        self._environment = environment
        self._limits = limits
        self._guard = guard
        self._models = models
        self._output = output
        self._tell = tell
        self._ranks: dict[tuple[int, int], NodeRank] = {}
        self._unreported: list[DeathCertificate] = []
        self._fence = 0
        self._changed = anyio.Event()
        self._task_group: TaskGroup | None = None

    async def run(self) -> None:
        """Carry out orders until cancelled, which kills the runners."""
        async with anyio.create_task_group() as self._task_group:
            await anyio.sleep_forever()

    def running(self) -> tuple[RunningRank, ...]:
        """The ranks that live, as a head needs to know them."""
        return tuple(known.described() for known in self._ranks.values())

    def unreported_deaths(self) -> tuple[DeathCertificate, ...]:
        """The newest deaths, whoever heard of them: a head drops those that it knows."""
        return tuple(self._unreported)

    def pids(self, *, before_generation: int) -> tuple[int, ...]:
        """The living processes of older generations."""
        return tuple(
            known.supervisor.pid
            for (generation, _), known in self._ranks.items()
            if generation < before_generation and known.supervisor.pid is not None
        )

    def handles(self, generation: int) -> tuple[RunnerSupervisor, ...]:
        """The ranks of one generation."""
        return tuple(known.supervisor for (number, _), known in self._ranks.items() if number == generation)

    def order(self, order: RankOrder) -> None:
        """Carry out one order of the head. What is about ranks that are gone means nothing any more."""
        if isinstance(order, StartRank):
            self._start(order)
            return
        if isinstance(order, TasksInFlight):
            for supervisor in self.handles(order.generation):
                supervisor.tasks_in_flight(order.tasks)
            return
        known = self._ranks.get((order.generation, order.rank))
        if known is None:
            return
        match order:
            case RankCommand(command=command):
                known.note_command(command)
                self._send(known, order)
            case StopRank(gracefully=gracefully):
                known.supervisor.stop(gracefully=gracefully)
            case CondemnRank(finding=finding):
                known.supervisor.condemn(finding)
            case DumpStacks():
                known.supervisor.dump_stacks()
            case _:
                assert_never(order)

    def cancel_tasks(self) -> None:
        """Cancel every task in flight: whoever asked for them is gone, and nobody is owed an end any more."""
        for known in self._ranks.values():
            known.supervisor.tasks_in_flight(0)
            for task_id in known.open_tasks():
                with suppress(ChannelFull):
                    known.supervisor.send(CancelTask(task_id))

    def condemn_all(self, finding: SupervisorFinding) -> None:
        """End every rank, for a reason of this node's."""
        for known in self._ranks.values():
            known.supervisor.condemn(finding)

    def stop_all(self, *, gracefully: bool) -> None:
        """Begin to end every rank."""
        for known in self._ranks.values():
            known.supervisor.stop(gracefully=gracefully)

    async def until_gone(self, before_generation: int | None = None) -> None:
        """Return when no rank of an older generation, or none at all, is left."""
        while any(before_generation is None or generation < before_generation for generation, _ in self._ranks):
            await self._changed.wait()

    def fence(self, before_generation: int) -> None:
        """End what is older than a generation, and start nothing older any more."""
        self._fence = max(self._fence, before_generation)
        for (generation, _), known in self._ranks.items():
            if generation < before_generation:
                known.supervisor.stop(gracefully=False)

    def _send(self, known: NodeRank, order: RankCommand) -> None:
        try:
            known.supervisor.send(order.command)
        except (ChannelFull, FrameViolation) as exc:
            logger.bind(rank=order.rank).warning("rank {} cannot be sent a command: {}", order.rank, exc)
            if isinstance(order.command, StartTask):
                refused = TaskRejected(
                    order.command.task_id, RejectionCode.TASK_FAILED, f"the runner cannot take it: {exc}"
                )
                known.on_event(order.rank, refused)

    def _start(self, order: StartRank) -> None:
        configure = order.configure
        generation, rank = configure.generation, configure.rank
        if generation < self._fence or (generation, rank) in self._ranks:
            bound = logger.bind(rank=rank, generation=generation)
            bound.warning("an order to start rank {} of generation {} is out of date", rank, generation)
            return
        try:
            launch = self._launch(order)
        except OSError as exc:
            self._died(start_failure(rank, generation, self.node, exc))
            return
        self._output.on_generation(generation, configure.model, configure.world_size)
        known = NodeRank(order, launch, self._limits, self._guard, self._output, self._tell)
        self._ranks[generation, rank] = known
        self._spawn(self._supervise, known)

    def _launch(self, order: StartRank) -> RunnerLaunch:
        configure = order.configure
        folder = self._folder / f"generation-{configure.generation}" / f"rank-{configure.rank}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in order.files.items():
            # A file of an order stays in its rank's folder, whatever it calls itself.
            (folder / Path(name).name).write_text(text, encoding="utf-8")
        places = {name: value.replace("{folder}", str(folder)) for name, value in order.environment.items()}
        model = self._models.path(configure.model)
        return RunnerLaunch(
            rank=configure.rank,
            generation=configure.generation,
            node=self.node,
            configure=msgspec.structs.replace(configure, model=str(model), marker_token=new_token()),
            environment={**runner_environment(self._environment, configure.rank, None), **places},
            dump_path=folder / "stacks",
        )

    async def _supervise(self, known: NodeRank) -> None:
        certificate = await known.supervisor.run()
        del self._ranks[known.generation, known.rank]
        self._died(certificate)
        self._changed.set()
        self._changed = anyio.Event()
        later = await known.supervisor.late_certificate()
        if later is not None:
            self._tell(RankAmended(later))

    def _died(self, certificate: DeathCertificate) -> None:
        self._unreported = [*self._unreported, certificate][-MAX_UNREPORTED_DEATHS:]
        self._tell(RankDied(certificate))

    def _spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        if self._task_group is None:
            raise RuntimeError("the node is not running; call run() first")
        self._task_group.start_soon(function, *arguments)
