"""A group's tasks: who listens to each, and what is kept of each. The listeners hear what the records will say."""

import time
from collections.abc import Callable, Mapping

import anyio

from diagnostics.incident import DeathCertificate, Incident
from supervisor.attribution import Attributed
from supervisor.capture.captures import Captures
from supervisor.core.deadlines import Deadline, Deadlines
from supervisor.core.pace import Pace
from supervisor.core.task_queue import TaskQueue
from supervisor.core.task_statistics import RunnerTaskNews, TaskStatistics, TaskTimes
from supervisor.observation import ObserverFailed
from supervisor.observers import TaskObserver
from supervisor.task_router import RunnerTaskEvent, TaskRouter, TerminalEvent
from supervisor.task_stream import BufferedTaskStream
from transports.http.request_view import RequestState, TaskProgress
from transports.messages import (
    ErrorChunk,
    RejectionCode,
    StopReason,
    TaskAccepted,
    TaskRejected,
    TaskStopped,
)
from transports.output_events import OUTPUT_EVENTS, OutputStream, TaskLog, TaskOutputEnded


class GroupTasks:
    """Used from the event loop only; nothing blocks.

    Args:
        captures: What is kept.
        places: How many tasks are computed together.
        cancel: Tells the runners to let go of a task.
    """

    def __init__(self, captures: Captures, places: int, cancel: Callable[[str], None]) -> None:
        self._captures = captures
        self._queue = TaskQueue(places)
        self._cancel = cancel
        self._deadlines = Deadlines()
        self._due_sooner = anyio.Event()
        self.statistics = TaskStatistics(places)
        self.pace = Pace()
        self._router = TaskRouter(on_end=self._ended, on_news=self._went_on)
        self._observer: TaskObserver | None = None

    def __len__(self) -> int:
        return len(self._router)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._router

    async def run(self) -> None:
        """Hand over what ended tasks said, end those whose time is over, tell the others where they stand.

        Raises:
            ObserverFailed: See `Captures.run`; it may be in a group.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._captures.run)
            tasks.start_soon(self._keep_time)

    def observe(self, observer: TaskObserver) -> None:
        """Tell this one of all tasks from now on."""
        self._observer = observer

    def open_ids(self) -> tuple[str, ...]:
        """The tasks in flight, oldest first."""
        return self._router.open_ids()

    def open(
        self, wanted_id: str, generation: int, metadata: Mapping[str, str], deadline: Deadline | None = None
    ) -> BufferedTaskStream:
        """Open a task, under its wanted id made unique. It is stopped when its deadline comes.

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
        if self._observer is not None:
            self._observer.on_task_open(stream.task_id, generation)
        self._queue.opened(stream.task_id)
        if deadline is not None:
            self._deadlines.add(stream.task_id, deadline)
            self._wake()
        return stream

    def withdraw(self, task_id: str, error: Exception) -> None:
        """Take back an `open` whose task could not be given to a runner."""
        self.statistics.withdrawn(task_id, time.monotonic())
        self._deadlines.discard(task_id)
        self._leave_line(task_id)
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
        self._deadlines.discard(task_id)
        self._leave_line(task_id)
        return self._router.forget(task_id)

    def stop(self, task_id: str, reason: StopReason, message: str) -> TaskStopped | None:
        """End a task because somebody wants it: its listener hears of it at once, its runner is told to let go.

        Returns the end, or None when nobody listens to such a task.
        """
        stopped = self._router.stop(task_id, reason, message)
        if stopped is not None:
            self._cancel(task_id)
        return stopped

    def progress(self) -> dict[str, TaskProgress]:
        """How far each task has come that somebody listens to, oldest first."""
        positions, waiting = self._queue.positions(), self._queue.waiting
        return {task_id: self._progress_of(task_id, positions, waiting) for task_id in self._router.heard_ids()}

    def fail_all(self, incident: Incident) -> None:
        """End every open task with `incident`."""
        self._router.fail_all(incident)

    def rank_gone(self, certificate: DeathCertificate) -> None:
        """A rank has died and was read to its end."""
        self._captures.rank_gone(certificate)

    def _progress_of(self, task_id: str, positions: Mapping[str, int], waiting: int) -> TaskProgress:
        task = self._router.get(task_id)
        if task is None or not (task.tokens_emitted or task.prefill_total):
            position = positions.get(task_id)
            return TaskProgress(RequestState.QUEUED, position=position, waiting=position and waiting)
        if not task.tokens_emitted:
            return TaskProgress(RequestState.PREFILL, done=task.prefill_done, total=task.prefill_total)
        return TaskProgress(RequestState.DECODE, tokens=task.tokens_emitted)

    def _went_on(self, news: RunnerTaskNews) -> None:
        self.statistics.observe(news, time.monotonic())
        line_had_moved = self._queue.deadline is not None
        told = self._queue.observe(news)
        if told is not None:
            self._router.tell(told)
        if not line_had_moved and self._queue.deadline is not None:
            self._wake()

    def _leave_line(self, task_id: str) -> None:
        self._queue.ended(task_id)
        if self._queue.deadline is not None:
            self._wake()

    def _wake(self) -> None:
        self._due_sooner.set()
        self._due_sooner = anyio.Event()

    async def _keep_time(self) -> None:
        while True:
            sooner, due = self._due_sooner, (self._queue.deadline, self._deadlines.next)
            first = min((at for at in due if at is not None), default=None)
            with anyio.move_on_after(None if first is None else max(0.0, first - time.monotonic())):
                await sooner.wait()
                continue
            now = time.monotonic()
            for told in self._queue.tick(now):
                self._router.tell(told)
            for task_id, deadline in self._deadlines.take_due(now):
                self._out_of_time(task_id, deadline)

    def _out_of_time(self, task_id: str, deadline: Deadline) -> None:
        task = self._router.get(task_id)
        tokens = 0 if task is None else task.tokens_emitted
        done = f"it had {tokens} tokens" if tokens else "it had not had a token yet"
        self.stop(task_id, StopReason.DEADLINE_EXCEEDED, deadline.sentence(done))

    def _ended(self, event: TerminalEvent) -> TerminalEvent:
        self._deadlines.discard(event.task_id)
        self._leave_line(event.task_id)
        heard = event
        try:
            self._captures.ended(event)
        except ObserverFailed as failed:
            if not isinstance(event, ErrorChunk):
                heard = TaskRejected(event.task_id, RejectionCode.TASK_FAILED, str(failed))
        now = time.monotonic()
        times = self.statistics.ended(heard, now)
        self.pace.ended(now)
        self._tell_end(times, heard)
        return heard

    def _tell_end(self, times: TaskTimes | None, event: TerminalEvent) -> None:
        if self._observer is None:
            return
        if times is None:
            self._observer.on_task_withdrawn(event.task_id)
        else:
            self._observer.on_task_end(times, event)
