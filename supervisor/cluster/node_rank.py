"""One rank on the node that runs it, with what a head that comes later has to know of it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.attribution import Attributed
from supervisor.cluster.output_budget import OutputBudget
from supervisor.guard import Guard
from supervisor.launch import RunnerLaunch
from supervisor.runner_supervisor import RunnerLimits, RunnerSupervisor
from transports.cluster.handshake import RunningRank
from transports.cluster.messages import FromNode, RankEvent, RankStarted, RankTaskOutput, RankUnkillable, StartRank
from transports.messages import (
    TERMINAL_EVENTS,
    Command,
    ModelFacts,
    PhaseChanged,
    RunnerEvent,
    RunnerHello,
    StartTask,
)
from transports.output_events import OutputStream

if TYPE_CHECKING:
    from supervisor.cluster.node_ranks import NodeOutput


class NodeRank:
    """Implements `supervisor.observers.RunnerObserver`: passes on what the runner does.

    Args:
        order: What the head wants.
        launch: What to start.
        limits: The bounds.
        guard: Ends the runner should this process die.
        output: Keeps what happens here.
        tell: Takes what the head should hear.
    """

    def __init__(  # noqa: PLR0917 - as many as there are parts
        self,
        order: StartRank,
        launch: RunnerLaunch,
        limits: RunnerLimits,
        guard: Guard,
        output: "NodeOutput",
        tell: Callable[[FromNode], None],
    ) -> None:
        self.generation = launch.generation
        self.rank = launch.rank
        self.supervisor = RunnerSupervisor(launch, limits, self, guard)
        self._plan = order.plan
        self._configure = order.configure
        self._output = output
        self._tell = tell
        self._budget = OutputBudget()
        self._facts: ModelFacts | None = None
        self._open_tasks: set[str] = set()
        self._serials: dict[OutputStream, int] = {}

    def described(self) -> RunningRank:
        """What a head needs to know to adopt it."""
        return RunningRank(
            self.generation,
            self.rank,
            self._configure.world_size,
            self.supervisor.pid or 0,
            self.supervisor.phase,
            self.supervisor.step,
            self._plan,
            self._configure.parallel,
            self._configure.backend,
            self._facts,
        )

    def open_tasks(self) -> tuple[str, ...]:
        """The tasks that this rank was given and has not ended."""
        return tuple(self._open_tasks)

    def note_command(self, command: Command) -> None:
        """Remember a task that is about to be given to it."""
        if isinstance(command, StartTask):
            self._open_tasks.add(command.task_id)

    def on_event(self, rank: int, event: RunnerEvent) -> None:
        """Pass it on."""
        if isinstance(event, RunnerHello):
            self._tell(RankStarted(self.generation, rank, self.supervisor.pid or event.pid))
        elif isinstance(event, ModelFacts):
            self._facts = event
        elif isinstance(event, PhaseChanged):
            self._output.on_phase(self.rank, event.phase)
        elif isinstance(event, TERMINAL_EVENTS):
            self._open_tasks.discard(event.task_id)
        self._tell(RankEvent(self.generation, rank, event))

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """It stays here."""
        self._output.on_output(rank, stream, data)

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """Pass on what belongs to tasks, as much as fits."""
        if not output.segments and not output.lines and self._serials.get(stream) == output.serial:
            return
        self._serials[stream] = output.serial
        wanted = tuple(segment for segment in output.segments if segment.tasks)
        room = self._budget.take(sum(len(segment.data) for segment in wanted), time.monotonic())
        kept = (wanted, output.lines) if room else ((), ())
        self._tell(RankTaskOutput(self.generation, rank, stream, *kept, output.serial))

    def on_unkillable(self, rank: int, pid: int) -> None:
        """Pass it on."""
        self._tell(RankUnkillable(self.generation, rank, pid))
