"""Telling others what happens to runs and tasks: by interfaces, under one policy for observers that fail.

`observed_run` brackets a run of any kind, in sync and in async code alike:

    with observed_run(Observation("run-1", observers=[mine], policy=ErrorPolicy.FAIL_FAST)):
        ...
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Protocol

import msgspec
from loguru import logger

from diagnostics.evidence import RunnerTerminationError
from diagnostics.incident import Incident
from diagnostics.termination import describe
from supervisor.journal.records import CapturedLog, JournalSink, NoJournal, Record, TaskRecord
from supervisor.journal.tags import TagError

Crash = Incident | RunnerTerminationError
"""What is known about the original failure: a group's incident, or the exception that ended a run in this process."""


class ErrorPolicy(StrEnum):
    """What an observer's or a sink's own failure does: `CONTINUE` logs and counts it, `FAIL_FAST` raises it."""

    CONTINUE = "continue"
    FAIL_FAST = "fail_fast"


class RunObserver(Protocol):
    """Who is told. Called in the order in which things happen; must not block."""

    def on_run_start(self, run_id: str) -> None:
        """A run begins."""

    def on_run_end(self, run_id: str, crash: Crash | None) -> None:
        """A run has ended; `crash` is why, when it did not end by itself."""

    def on_task_start(self, task: TaskRecord) -> None:
        """A task was given to its runners."""

    def on_task_end(self, task: TaskRecord) -> None:
        """A task has ended, well or badly, and whoever waits for it is told next."""

    def on_crash(self, crash: Crash) -> None:
        """A generation of runners, or the run itself, failed. Before the end of the tasks that fail with it."""


class ObserverFailed(Exception):
    """An observer or a sink raised, and the policy is `FAIL_FAST`. The cause is what it raised."""


def first_failure(group: BaseExceptionGroup[BaseException]) -> ObserverFailed | None:
    """Return the observer's failure that a task group ended with; None when it ended with anything else, too."""
    failures, others = group.split(ObserverFailed)
    if failures is None or others is not None:
        return None
    first = failures.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first


class Observation:
    """One run's observers and its sink. Not thread-safe; blocks only as long as an observer does.

    Args:
        run_id: Names the run.
        observers: Who is told.
        sink: Where records go.
        policy: What their failures do.
    """

    def __init__(
        self,
        run_id: str,
        *,
        observers: Sequence[RunObserver] = (),
        sink: JournalSink | None = None,
        policy: ErrorPolicy = ErrorPolicy.CONTINUE,
    ) -> None:
        self.run_id = run_id
        self.failures = 0
        self._observers = tuple(observers)
        self._sink: JournalSink = NoJournal() if sink is None else sink
        self._policy = policy

    @property
    def is_active(self) -> bool:
        """False when nobody listens: then there is no need to collect anything."""
        return bool(self._observers) or not isinstance(self._sink, NoJournal)

    def run_started(self) -> None:
        """Tell it; see the class `ObserverFailed` for what this and the others raise."""
        self._tell("on_run_start", lambda observer: observer.on_run_start(self.run_id))

    def run_ended(self, crash: Crash | None) -> None:
        """Tell it."""
        self._tell("on_run_end", lambda observer: observer.on_run_end(self.run_id, crash))

    def task_started(self, task: TaskRecord) -> None:
        """Tell it and keep the record."""
        self._tell("on_task_start", lambda observer: observer.on_task_start(task))
        self.keep(task)

    def task_ended(self, task: TaskRecord) -> None:
        """Keep the record and tell it."""
        self.keep(task)
        self._tell("on_task_end", lambda observer: observer.on_task_end(task))

    def crashed(self, crash: Crash) -> None:
        """Tell it."""
        self._tell("on_crash", lambda observer: observer.on_crash(crash))

    def keep(self, record: Record) -> None:
        """Give a record to the sink. One whose tags the sink refuses is kept without them."""
        try:
            try:
                self._sink.write(record)
            except TagError as exc:
                if not isinstance(record, TaskRecord | CapturedLog):
                    raise
                logger.bind(task=record.task_id).warning("task {} is kept without its tags: {}", record.task_id, exc)
                self._sink.write(msgspec.structs.replace(record, tags={}))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the policy decides
            self._failed(f"{type(self._sink).__name__}.write of a {type(record).__name__}", exc)

    def _tell(self, hook: str, call: Callable[[RunObserver], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the policy decides
                self._failed(f"{type(observer).__name__}.{hook}", exc)

    def _failed(self, what: str, error: Exception) -> None:
        self.failures += 1
        if self._policy is ErrorPolicy.FAIL_FAST:
            raise ObserverFailed(f"{what} failed: {type(error).__name__}: {describe(error).message}") from error
        logger.warning("{} failed, and the run goes on: {}", what, describe(error).representation)


class observed_run:  # noqa: N801 - used like a function
    """Bracket a run: start, crash with the original exception's data, end. For `with` and `async with`.

    Args:
        observation: Who is told, and what their failures do.

    Raises:
        ObserverFailed: On entering or leaving, under `FAIL_FAST`; never in place of the run's own exception.
    """

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def __enter__(self) -> Observation:
        self._observation.run_started()
        return self._observation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        # What is no Exception is somebody's wish: Ctrl-C, a cancel, sys.exit.
        crash = describe(error) if isinstance(error, Exception) else None
        try:
            if crash is not None:
                self._observation.crashed(crash)
            self._observation.run_ended(crash)
        except ObserverFailed as failed:
            if error is None:
                raise
            logger.warning("{}", failed)

    async def __aenter__(self) -> Observation:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
