"""Rank 0's books: which tasks are open, what their clients have been sent, and that each ends exactly once.

No I/O: every method returns the events to send, and `take_dropped` the tasks that the engine must let go of.
"""

import traceback
from collections.abc import Iterable

from diagnostics.termination import describe
from runner.attribution import task as working_for
from runner.engine import Generated, Prefilled, StepOutput, TaskRejection, TextStream
from runner.plan import PreparedTask
from runner.stop_sequences import StopScanner
from transports.messages import (
    FinishReason,
    PrefillProgress,
    RejectionCode,
    RunnerEvent,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TokenChunk,
)

_MAX_MESSAGE_CHARACTERS = 2000


class _OpenTask:
    def __init__(self, task: PreparedTask, stream: TextStream) -> None:
        self.task_id = task.task_id
        self.prompt_tokens = len(task.tokens)
        self.completion_tokens = 0
        self.stream = stream
        self.scanner = StopScanner(task.sampling.stop)


class Delivery:
    """Turns step outputs into task events."""

    def __init__(self) -> None:
        self._open: dict[str, _OpenTask] = {}
        self._dropped: list[str] = []

    @property
    def open_tasks(self) -> tuple[str, ...]:
        """Ids of the accepted tasks that have not ended."""
        return tuple(self._open)

    def accept(self, task: PreparedTask, stream: TextStream) -> RunnerEvent:
        """Open a task."""
        self._open[task.task_id] = _OpenTask(task, stream)
        return TaskAccepted(task.task_id, len(task.tokens))

    def cancel(self, task_id: str) -> list[RunnerEvent]:
        """End a task early; ids that are not open are ignored."""
        task = self._open.get(task_id)
        if task is None:
            return []
        self._dropped.append(task_id)
        return [self._finish(task, "cancelled", task.scanner.flush())]

    def deliver(self, outputs: Iterable[StepOutput]) -> list[RunnerEvent]:
        """Return the events of one step. Outputs of tasks that ended meanwhile are dropped."""
        events: list[RunnerEvent] = []
        for output in outputs:
            task = self._open.get(output.task_id)
            if task is None:
                continue
            if isinstance(output, Prefilled):
                events.append(PrefillProgress(output.task_id, output.done, output.total))
                continue
            with working_for(output.task_id):
                try:
                    self._generated(task, output, events)
                except Exception as exc:  # noqa: BLE001 - what a text stream raises is that task's end, not the runner's
                    if output.finish is None:
                        self._dropped.append(output.task_id)
                    events.append(self._fail(output.task_id, exc))
        return events

    def take_dropped(self) -> list[str]:
        """Return the tasks that ended here while the engine still runs them."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _generated(self, task: _OpenTask, output: Generated, events: list[RunnerEvent]) -> None:
        stopped = False
        if output.token is not None:
            text, stopped = task.scanner.push(task.stream.add(output.token))
            events.append(TokenChunk(task.task_id, task.completion_tokens, output.token, text))
            task.completion_tokens += 1
        if stopped:
            if output.finish is None:
                self._dropped.append(task.task_id)
            events.append(self._finish(task, "stop", ""))
        elif output.finish is not None:
            text, stopped = task.scanner.push(task.stream.finish())
            tail = text if stopped else text + task.scanner.flush()
            events.append(self._finish(task, "stop" if stopped else output.finish, tail))

    def _finish(self, task: _OpenTask, reason: FinishReason, text: str) -> RunnerEvent:
        del self._open[task.task_id]
        return TaskFinished(task.task_id, reason, task.prompt_tokens, task.completion_tokens, text)

    def _fail(self, task_id: str, error: Exception) -> RunnerEvent:
        self._open.pop(task_id, None)
        return rejected(task_id, error)


def counted(task: PreparedTask) -> list[RunnerEvent]:
    """Return the events of a task that asks for no token: its prompt was counted, and no other rank hears of it."""
    prompt_tokens = len(task.tokens)
    return [TaskAccepted(task.task_id, prompt_tokens), TaskFinished(task.task_id, "length", prompt_tokens, 0)]


def rejected(task_id: str, error: Exception) -> TaskRejected:
    """Return the event that ends a task with an error of its own; unexpected errors also go to stderr in full."""
    if isinstance(error, TaskRejection):
        return TaskRejected(
            task_id,
            error.code,
            str(error)[:_MAX_MESSAGE_CHARACTERS],
            parameter=error.parameter,
            n_prompt_tokens=error.n_prompt_tokens,
            n_ctx=error.n_ctx,
        )
    traceback.print_exception(error)
    described = describe(error)
    message = f"the task failed with {type(error).__name__}: {described.message}".removesuffix(": ")
    return TaskRejected(
        task_id, RejectionCode.TASK_FAILED, message[:_MAX_MESSAGE_CHARACTERS], traceback=described.traceback
    )
