"""Rank 0's books: which tasks are open, what their clients have been sent, and that each ends exactly once.

No I/O: every method returns the events to send, and `take_dropped` the tasks that the engine must let go of.
"""

import secrets
import string
import traceback
from collections.abc import Callable, Iterable

from diagnostics.termination import describe
from runner.answer import Answer, Shown
from runner.answer_scanner import ToolCall
from runner.attribution import task as working_for
from runner.engine import Generated, Prefilled, StepOutput, TaskRejection, TextStream
from runner.plan import PreparedTask
from transports.answers import FinishReason
from transports.messages import (
    PrefillProgress,
    RejectionCode,
    RunnerEvent,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TokenChunk,
    ToolCallChunk,
)

_MAX_MESSAGE_CHARACTERS = 2000
# Some chat templates refuse a call whose id has another shape: Mistral's wants nine letters and digits.
_CALL_ID_CHARACTERS = 9
_CALL_ID_ALPHABET = string.ascii_letters + string.digits


def random_call_id() -> str:
    """Return an id that every model's template takes."""
    return "".join(secrets.choice(_CALL_ID_ALPHABET) for _ in range(_CALL_ID_CHARACTERS))


class _OpenTask:
    def __init__(self, task: PreparedTask, stream: TextStream, answer: Answer) -> None:
        self.task_id = task.task_id
        self.prompt_tokens = len(task.tokens)
        self.completion_tokens = 0
        self.stream = stream
        self.answer = answer
        self.calls = 0


class Delivery:
    """Turns step outputs into task events.

    Args:
        new_call_id: Names a call of a tool that its model did not name.
    """

    def __init__(self, new_call_id: Callable[[], str] = random_call_id) -> None:
        self._new_call_id = new_call_id
        self._open: dict[str, _OpenTask] = {}
        self._dropped: list[str] = []

    @property
    def open_tasks(self) -> tuple[str, ...]:
        """Ids of the accepted tasks that have not ended."""
        return tuple(self._open)

    def accept(self, task: PreparedTask, stream: TextStream, answer: Answer) -> RunnerEvent:
        """Open a task."""
        self._open[task.task_id] = _OpenTask(task, stream, answer)
        return TaskAccepted(task.task_id, len(task.tokens))

    def cancel(self, task_id: str) -> list[RunnerEvent]:
        """End a task early; ids that are not open are ignored."""
        task = self._open.get(task_id)
        if task is None:
            return []
        self._dropped.append(task_id)
        return self._finish(task, "cancelled", task.answer.end("", is_whole=False))

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
        is_over = False
        if output.token is not None:
            shown = task.answer.push(task.stream.add(output.token), output.candidates)
            chunk = TokenChunk(
                task.task_id,
                task.completion_tokens,
                output.token,
                shown.text,
                reasoning=shown.reasoning,
                logprobs=tuple(shown.logprobs),
            )
            task.completion_tokens += 1
            events += [chunk, *self._calls(task, shown.calls)]
            is_over = shown.is_enough or shown.stop_sequence is not None
            if is_over:
                if output.finish is None:
                    self._dropped.append(task.task_id)
                events += self._finish(task, "stop", Shown(stop_sequence=shown.stop_sequence))
        if output.finish is not None and not is_over:
            last = task.answer.end(task.stream.finish(), is_whole=output.finish == "stop")
            events += self._finish(task, "stop" if last.stop_sequence else output.finish, last)

    def _calls(self, task: _OpenTask, calls: Iterable[ToolCall]) -> list[RunnerEvent]:
        events: list[RunnerEvent] = []
        for call in calls:
            call_id = call.call_id or self._new_call_id()
            events.append(ToolCallChunk(task.task_id, task.calls, call_id, call.name, call.arguments))
            task.calls += 1
        return events

    def _finish(self, task: _OpenTask, reason: FinishReason, last: Shown) -> list[RunnerEvent]:
        """Return the events that end the task; calls come before the text that was held back with them."""
        calls = self._calls(task, last.calls)
        del self._open[task.task_id]
        finished = TaskFinished(
            task.task_id,
            "tool_calls" if reason == "stop" and task.calls else reason,
            task.prompt_tokens,
            task.completion_tokens,
            last.text,
            reasoning=last.reasoning,
            logprobs=tuple(last.logprobs),
            stop_sequence=last.stop_sequence,
            reasoning_tokens=task.answer.reasoning_tokens,
        )
        return [*calls, finished]

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
