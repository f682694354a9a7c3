"""All tasks of a group, from start to their records; and what observers make of it."""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import msgspec

from diagnostics.incident import DeathCertificate, Incident
from supervisor.attribution import Attributed
from supervisor.capture.tags import tags_of
from supervisor.capture.task_capture import STREAMS, CaptureLimits, Reached, TaskCapture, ended_record
from supervisor.journal.records import TaskOutcome, TaskRecord
from supervisor.observation import Observation, ObserverFailed, first_failure, observed_run
from transports.messages import ErrorChunk, TaskAccepted, TaskFinished, TaskRejected, TaskStopped
from transports.output_events import OutputStream, TaskLog, TaskOutputEnded

_DEFAULT_LIMITS = CaptureLimits()


class Captures:
    """Collects what tasks say and hands it over. Used from the event loop only; costs nothing when nobody listens.

    Args:
        observation: Who is told.
        model: What the tasks ask for.
        limits: The bounds on each task.
    """

    def __init__(
        self,
        observation: Observation,
        *,
        model: str,
        limits: CaptureLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._observation = observation
        self._model = model
        self._nodes: tuple[str, ...] = ()
        self._limits = limits
        self._open: dict[str, TaskCapture] = {}
        self._ending: dict[str, TaskCapture] = {}
        self._reached: Reached = {}
        self._failure: ObserverFailed | None = None
        self._changed = anyio.Event()

    async def observe(self, run: Callable[[], Awaitable[None]]) -> None:
        """Call `run` as one run: observers hear its beginning and its end, and no record is left behind.

        Raises:
            ObserverFailed: In place of the group that holds it; else what `run` raises.
        """
        async with observed_run(self._observation):
            try:
                await run()
            except BaseExceptionGroup as group:
                failed = first_failure(group)
                raise group if failed is None else failed from None
            finally:
                self.close()
            self.check()

    async def run(self) -> None:
        """Hand over what ended tasks said, in time, until cancelled.

        Raises:
            ObserverFailed: A record of a task that had ended already was not taken, or a crash.
        """
        while True:
            self.check()
            changed = self._changed
            first = min((capture.ends_by for capture in self._ending.values() if capture.ends_by), default=None)
            with anyio.move_on_after(None if first is None else max(0.0, first - time.monotonic())):
                await changed.wait()
            self._close(lambda capture: (capture.ends_by or 0.0) <= time.monotonic())

    def begin_generation(self, nodes: Sequence[str]) -> None:
        """The tasks of a new generation are about to come; `nodes` says where its ranks run, by rank."""
        self._nodes = tuple(nodes)

    def started(self, task_id: str, generation: int, metadata: Mapping[str, str]) -> None:
        """A task is about to be given to the runners.

        Raises:
            ObserverFailed: It must not be.
        """
        if not self._observation.is_active:
            return
        self._close(lambda capture: capture.record.task_id == task_id)
        record = TaskRecord(
            run_id=self._observation.run_id,
            task_id=task_id,
            generation=generation,
            model=self._model,
            started_at=time.time(),
            tags=tags_of(metadata),
        )
        self._observation.task_started(record)
        log_id = f"log-{uuid.uuid4().hex[:16]}"
        self._open[task_id] = TaskCapture(
            record,
            log_id,
            nodes=self._nodes,
            reached=self._reached,
            limits=self._limits,
        )

    def output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """A rank wrote something."""
        for segment in output.segments:
            for task_id in segment.tasks:
                capture = self._find(task_id)
                if capture is not None:
                    capture.add_output(rank, stream, segment.data)
        if self._reached.get((rank, stream)) != output.serial:
            self._reached[rank, stream] = output.serial
            self._close_complete()

    def event(self, rank: int, event: TaskAccepted | TaskLog | TaskOutputEnded) -> None:
        """A rank said something about a task."""
        capture = self._find(event.task_id)
        if capture is None:
            return
        match event:
            case TaskAccepted():
                capture.record = msgspec.structs.replace(capture.record, prompt_tokens=event.prompt_tokens)
            case TaskLog():
                capture.add_log(rank, event)
            case TaskOutputEnded():
                capture.output_ended(rank, event)
                self._close_complete()

    def ended(self, event: TaskFinished | TaskRejected | ErrorChunk | TaskStopped) -> None:
        """A task has ended; whoever waits for it has not been told yet.

        Raises:
            ObserverFailed: So the task has failed, whatever the event says.
        """
        capture = self._open.pop(event.task_id, None)
        if capture is None:
            return
        if isinstance(event, TaskRejected):
            capture.add_traceback(0, event.traceback)
        elif isinstance(event, ErrorChunk):
            for certificate in event.incident.certificates:
                capture.add_death(certificate)
        record = ended_record(capture.record, event, time.time())
        try:
            self._observation.task_ended(record)
        except ObserverFailed as failed:
            record = msgspec.structs.replace(record, outcome=TaskOutcome.FAILED, detail=str(failed))
            raise
        finally:
            capture.end(record, time.monotonic())
            self._ending[event.task_id] = capture
            self._close_complete()
            self._wake()

    def crashed(self, incident: Incident) -> None:
        """A generation has failed."""
        try:
            self._observation.crashed(incident)
        except ObserverFailed as failed:
            self._fail(failed)

    def rank_gone(self, certificate: DeathCertificate) -> None:
        """A rank has died and was read to its end: nothing more comes from it."""
        for capture in (*self._open.values(), *self._ending.values()):
            capture.rank_gone(certificate.rank)
            if capture.record.outcome in (None, TaskOutcome.FAILED):
                capture.add_death(certificate)
        for stream in STREAMS:
            self._reached.pop((certificate.rank, stream), None)
        self._close_complete()

    def close(self) -> None:
        """Hand over what there is of the tasks that have ended, without waiting for more."""
        self._close(lambda _: True)

    def check(self) -> None:
        """Raise what `run` would raise.

        Raises:
            ObserverFailed: See `run`.
        """
        if self._failure is not None:
            raise self._failure

    def _find(self, task_id: str) -> TaskCapture | None:
        return self._open.get(task_id) or self._ending.get(task_id)

    def _close_complete(self) -> None:
        if self._ending:
            self._close(lambda capture: capture.is_complete)

    def _close(self, is_due: Callable[[TaskCapture], bool]) -> None:
        for task_id, capture in [*self._ending.items()]:
            if not is_due(capture):
                continue
            del self._ending[task_id]
            try:
                for log in capture.logs():
                    self._observation.keep(log)
            except ObserverFailed as failed:
                self._fail(failed)

    def _fail(self, failed: ObserverFailed) -> None:
        self._failure = self._failure or failed
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
