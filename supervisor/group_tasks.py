"""A group's tasks: who listens to each, and what is kept of each. The listeners hear what the records will say."""

import time
from collections.abc import Mapping

from diagnostics.incident import DeathCertificate, Incident
from supervisor.attribution import Attributed
from supervisor.capture.captures import Captures
from supervisor.core.task_statistics import RunnerTaskNews, TaskStatistics
from supervisor.observation import ObserverFailed
from supervisor.task_router import RunnerTaskEvent, TaskRouter, TerminalEvent
from supervisor.task_stream import BufferedTaskStream
from transports.messages import ErrorChunk, RejectionCode, TaskAccepted, TaskRejected
from transports.output_events import OUTPUT_EVENTS, OutputStream, TaskLog, TaskOutputEnded


class GroupTasks:
    """Used from the event loop only; nothing blocks.

    Args:
        captures: What is kept.
        statistics: What is counted.
    """

    def __init__(self, captures: Captures, statistics: TaskStatistics) -> None:
        self._captures = captures
        self.statistics = statistics
        self._router = TaskRouter(on_end=self._ended, on_news=self._went_on)

    def __len__(self) -> int:
        return len(self._router)

    def open_ids(self) -> tuple[str, ...]:
        """The tasks in flight, oldest first."""
        return self._router.open_ids()

    def open(self, wanted_id: str, generation: int, metadata: Mapping[str, str]) -> BufferedTaskStream:
        """Open a task, under its wanted id made unique.

        Raises:
            ObserverFailed: An observer does not let it begin; it is not open.
        """
        stream = self._router.open(wanted_id)
        try:
            self._captures.started(stream.task_id, generation, metadata)
        except ObserverFailed:
            self._router.withdraw(stream.task_id)
            raise
        self.statistics.opened(stream.task_id, time.monotonic())
        return stream

    def withdraw(self, task_id: str, error: Exception) -> None:
        """Take back an `open` whose task could not be given to a runner."""
        self.statistics.withdrawn(task_id)
        self._ended(TaskRejected(task_id, RejectionCode.TASK_FAILED, f"it could not be given to a runner: {error}"))
        self._router.withdraw(task_id)

    def deliver(self, rank: int, event: RunnerTaskEvent | TaskOutputEnded) -> bool:
        """Pass a runner's event on; False when its task should be cancelled, because its listener cannot follow.

        Any rank may tell what a task printed; for everything else only rank 0 is believed.
        """
        if isinstance(event, TaskAccepted | TaskLog | TaskOutputEnded):
            self._captures.event(rank, event)
        if isinstance(event, TaskOutputEnded):
            return True
        return self._router.deliver(event) if rank == 0 or isinstance(event, OUTPUT_EVENTS) else True

    def output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """A runner wrote something."""
        for line in output.lines:
            self._router.deliver(line)
        self._captures.output(rank, stream, output)

    def forget(self, task_id: str) -> bool:
        """The listener left. True when the task is still open, so that its runner has to be told to cancel it."""
        return self._router.forget(task_id)

    def fail_all(self, incident: Incident) -> None:
        """End every open task with `incident`."""
        self._router.fail_all(incident)

    def rank_gone(self, certificate: DeathCertificate) -> None:
        """A rank has died and was read to its end."""
        self._captures.rank_gone(certificate)

    def _went_on(self, news: RunnerTaskNews) -> None:
        self.statistics.observe(news, time.monotonic())

    def _ended(self, event: TerminalEvent) -> TerminalEvent:
        heard = event
        try:
            self._captures.ended(event)
        except ObserverFailed as failed:
            if not isinstance(event, ErrorChunk):
                heard = TaskRejected(event.task_id, RejectionCode.TASK_FAILED, str(failed))
        self.statistics.ended(heard, time.monotonic())
        return heard
