"""What the ranks of a group tell, on its way to whoever it concerns: the machine, the tasks, the watchdog, the log."""

from collections.abc import Callable

from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.core import group_messages as machine
from supervisor.core.group import Group
from supervisor.group_ranks import GroupRanks
from supervisor.group_tasks import GroupTasks
from supervisor.observers import GroupObserver
from supervisor.stall_watch import StallWatch
from supervisor.start_watch import StartWatch
from supervisor.task_router import RUNNER_TASK_EVENTS
from transports.messages import TERMINAL_EVENTS, ModelFacts, PhaseChanged, RunnerEvent
from transports.output_events import OutputStream, TaskOutputEnded
from transports.progress import Progress


class RankReports:
    """Implements `supervisor.observers.RunnerObserver`.

    Args:
        group: The machine, for its generation.
        feed: Feeds it.
        ranks: The living ranks.
        tasks: The tasks in flight.
        stalls: The watchdog.
        starts: The barrier of each start.
        observer: Who is told about the group.
    """

    def __init__(  # noqa: PLR0917 - as many as there are to tell
        self,
        group: Group,
        feed: Callable[[machine.GroupInput], None],
        ranks: GroupRanks,
        tasks: GroupTasks,
        stalls: StallWatch,
        starts: StartWatch,
        observer: GroupObserver,
    ) -> None:
        self._group = group
        self._feed = feed
        self._ranks = ranks
        self._tasks = tasks
        self._stalls = stalls
        self._starts = starts
        self._observer = observer
        self.facts: ModelFacts | None = None

    def on_event(self, rank: int, event: RunnerEvent) -> None:
        """A runner's event: a rank that is ready, a fact about the model, or news of a task (rank 0 only)."""
        if isinstance(event, PhaseChanged):
            self._observer.on_phase(rank, event.phase)
            self._starts.announced(rank, event.phase)
            if event.phase is Phase.READY:
                self._feed(machine.RankReady(rank, self._group.generation))
        elif isinstance(event, Progress):
            self._stalls.progress(rank, event)
            self._starts.moved(rank)
        elif isinstance(event, ModelFacts):
            self.facts = event
        elif isinstance(event, (*RUNNER_TASK_EVENTS, TaskOutputEnded)):
            if not self._tasks.deliver(rank, event):
                self._ranks.cancel_task(event.task_id)
            if isinstance(event, TERMINAL_EVENTS):
                self.count_tasks()

    def count_tasks(self) -> None:
        """Tell who has to know how many tasks are in flight now."""
        self._ranks.owe(len(self._tasks))
        self._stalls.busy(is_busy=len(self._tasks) > 0)

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """A runner's output goes to the observer."""
        self._observer.on_output(rank, stream, data)

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """A runner's output, by tasks."""
        self._tasks.output(rank, stream, output)
        self._observer.on_task_output(rank, stream, output)

    def on_unkillable(self, rank: int, pid: int) -> None:
        """A runner outlived SIGKILL."""
        self._feed(machine.RankUnkillable(rank, pid))
