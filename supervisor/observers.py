"""Who is told what happens to runners and groups: interfaces only, so that nothing here knows who listens."""

from typing import Protocol

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.core.task_statistics import TaskTimes
from supervisor.task_router import TerminalEvent
from transports.http.gateway import GroupState
from transports.messages import RunnerEvent, RunnerFailed
from transports.output_events import OutputStream


class RunnerObserver(Protocol):
    """Who is told what a runner does. Called on the event loop; must not block or raise."""

    def on_event(self, rank: int, event: RunnerEvent) -> None:
        """The runner sent an event of its current generation."""

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """The runner wrote to `stdout` or `stderr`; its markers are taken out."""

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """The same output, as far as it is known whose it is; also when only the tasks in flight changed."""

    def on_unkillable(self, rank: int, pid: int) -> None:
        """The process outlived SIGKILL; `run` goes on waiting for its exit."""


class TaskObserver(Protocol):
    """Who is told of tasks and what they cost. Called on the event loop; must not block or raise."""

    def on_task_open(self, task_id: str, generation: int) -> None:
        """A task is given to the runners; called in the context of the request that it is for."""

    def on_task_withdrawn(self, task_id: str) -> None:
        """It could not be given to them, or nothing was computed for it."""

    def on_task_end(self, times: TaskTimes, event: TerminalEvent) -> None:
        """It has ended, and whoever waits for it is told next."""


class GroupObserver(Protocol):
    """Who is told what happens to a group. Called on the event loop; must not block or raise."""

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """The next generation is being started."""

    def on_phase(self, rank: int, phase: Phase) -> None:
        """A runner announced its phase, or progress within it."""

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """The group entered a state."""

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """A runner died in a group that was not being stopped. Exactly once per dead runner."""

    def on_incident(self, incident: Incident) -> None:
        """An incident was declared, or a later version of it with more in it."""

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """A runner wrote to `stdout` or `stderr`."""

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """The same output, as far as it is known whose it is; of a rank on another node, only what tasks wrote."""
