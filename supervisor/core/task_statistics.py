"""What tasks cost: how long each waits and computes, how fast tokens come. One machine, fed by every task event.

The theory. A task waits from when its request came until it was accepted and has a place among those that are computed
together; it prefills until its first token, and decodes until its last. A runner does not say who has a place: it takes
tasks in the order in which it accepted them, so that there is one as soon as fewer than `max_concurrent_tasks` compute;
and news of a task's own work is proof that it has one. What a task did not reach is None.

A token must cost nearly nothing: `_token` is a lookup, a few sums and two appends.
"""

from enum import StrEnum

import msgspec

from supervisor.core.histogram import Histogram, NewestSamples, SlidingRate
from supervisor.core.task_buckets import INTER_TOKEN_S, REQUEST_S, TIME_TO_FIRST_TOKEN_S, TOKENS
from transports.http.figures import ServiceFigures
from transports.messages import (
    ErrorChunk,
    PrefillProgress,
    StopReason,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TaskStopped,
    TokenChunk,
)

WINDOW_S = 10.0
RunnerTaskNews = TaskAccepted | PrefillProgress | TokenChunk


class TaskEnd(StrEnum):
    """How a task ended; `finish_reason` where it has one."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    REJECTED = "rejected"
    FAILED = "failed"


GOOD_ENDS = (TaskEnd.STOP, TaskEnd.LENGTH, TaskEnd.TOOL_CALLS)


class TaskTimes(msgspec.Struct, frozen=True):
    """One task that has ended, in monotonic seconds of this process. None is what it did not reach."""

    task_id: str
    end: TaskEnd
    opened_at_s: float
    computing_at_s: float | None
    first_token_at_s: float | None
    ended_at_s: float
    prompt_tokens: int
    completion_tokens: int


class _OpenTask:
    __slots__ = ("computing_at", "first_token_at", "last_token_at", "opened_at", "prefilled", "prompt_tokens", "tokens")

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self.computing_at: float | None = None
        self.first_token_at: float | None = None
        self.last_token_at = opened_at
        self.prompt_tokens = 0
        self.prefilled = 0
        self.tokens = 0


class TaskStatistics:
    """The machine. Monotonic `now` in seconds. Unknown task ids are ignored.

    Args:
        max_concurrent_tasks: How many tasks a runner computes together.
        newest_tasks: How many tasks the percentiles of the time to the first token are over.
        newest_tokens: How many tokens those of the latency between tokens are over.
    """

    def __init__(self, max_concurrent_tasks: int, *, newest_tasks: int = 512, newest_tokens: int = 4096) -> None:
        self._max_concurrent_tasks = max_concurrent_tasks
        self._open: dict[str, _OpenTask] = {}
        self._waiting: dict[str, _OpenTask] = {}
        self._computing = 0
        self._first_tokens = NewestSamples(newest_tasks)
        self._gaps = NewestSamples(newest_tokens)
        self._tokens = SlidingRate(WINDOW_S)
        self._prompt_tokens = SlidingRate(WINDOW_S)
        self.tokens_total = 0
        self.prompt_tokens_total = 0
        self.ends = dict.fromkeys(TaskEnd, 0)
        self.queue_s = Histogram(REQUEST_S)
        self.prefill_s = Histogram(REQUEST_S)
        self.decode_s = Histogram(REQUEST_S)
        self.total_s = Histogram(REQUEST_S)
        self.first_token_s = Histogram(TIME_TO_FIRST_TOKEN_S)
        self.inter_token_s = Histogram(INTER_TOKEN_S)
        self.mean_inter_token_s = Histogram(INTER_TOKEN_S)
        self.prompt_tokens = Histogram(TOKENS)
        self.completion_tokens = Histogram(TOKENS)

    def opened(self, task_id: str, now: float) -> None:
        """A task is given to the runners."""
        self._open[task_id] = _OpenTask(now)

    def waited_since(self, task_id: str, at: float) -> None:
        """Its request came earlier than that: it waited for the group. To be told before anything else about it."""
        task = self._open.get(task_id)
        if task is not None:
            task.opened_at = min(task.opened_at, at)

    def withdrawn(self, task_id: str, now: float) -> None:
        """It could not be given to them: it never was."""
        self._close(task_id, now)

    def observe(self, event: RunnerTaskNews, now: float) -> None:
        """A runner's news of a task that goes on."""
        task = self._open.get(event.task_id)
        if task is None:
            return
        match event:
            case TokenChunk():
                self._token(event.task_id, task, now)
            case TaskAccepted():
                # A runner may say anything; a total that fell would be a restart to whoever reads it.
                task.prompt_tokens = max(0, event.prompt_tokens)
                self._wait_or_begin(event.task_id, task, now)
            case PrefillProgress():
                self._begin(event.task_id, task, now)
                self._count_prompt(task, event.done, now)

    def _token(self, task_id: str, task: _OpenTask, now: float) -> None:
        if task.tokens:
            gap = now - task.last_token_at
            self._gaps.add(gap)
            self.inter_token_s.add(gap)
        else:
            self._first_token(task_id, task, now)
        task.last_token_at = now
        task.tokens += 1
        self.tokens_total += 1
        self._tokens.add(1, now)

    def ended(self, event: TaskFinished | TaskRejected | ErrorChunk | TaskStopped, now: float) -> TaskTimes | None:
        """A task has ended; returns what it cost, once. One that asked for no token was never computed."""
        task = self._close(event.task_id, now)
        if task is None or _only_counted(event):
            return None
        end = _end_of(event)
        self.ends[end] += 1
        times = TaskTimes(
            task_id=event.task_id,
            end=end,
            opened_at_s=task.opened_at,
            computing_at_s=task.computing_at,
            first_token_at_s=task.first_token_at,
            ended_at_s=now,
            prompt_tokens=task.prompt_tokens,
            completion_tokens=task.tokens,
        )
        if end in GOOD_ENDS:
            self._count_finished(times, task.last_token_at)
        return times

    def figures(self, now: float) -> ServiceFigures:
        """Return how the service does. Sorts the newest samples: for people who look, not for every event."""
        return ServiceFigures(
            running=self._computing,
            queued=len(self._open) - self._computing,
            window_s=WINDOW_S,
            tokens_per_s=self._tokens.per_s(now),
            prompt_tokens_per_s=self._prompt_tokens.per_s(now),
            tokens_total=self.tokens_total,
            prompt_tokens_total=self.prompt_tokens_total,
            time_to_first_token_s=self._first_tokens.percentiles(),
            inter_token_latency_s=self._gaps.percentiles(),
            finished=sum(self.ends[end] for end in GOOD_ENDS),
            cancelled=self.ends[TaskEnd.CANCELLED] + self.ends[TaskEnd.DEADLINE_EXCEEDED],
            failed=self.ends[TaskEnd.FAILED],
            rejected=self.ends[TaskEnd.REJECTED],
        )

    def _first_token(self, task_id: str, task: _OpenTask, now: float) -> None:
        self._begin(task_id, task, now)
        self._count_prompt(task, task.prompt_tokens, now)
        task.first_token_at = now
        self._first_tokens.add(now - task.opened_at)
        self.first_token_s.add(now - task.opened_at)

    def _wait_or_begin(self, task_id: str, task: _OpenTask, now: float) -> None:
        if self._computing < self._max_concurrent_tasks:
            self._begin(task_id, task, now)
        else:
            self._waiting[task_id] = task

    def _begin(self, task_id: str, task: _OpenTask, now: float) -> None:
        if task.computing_at is None:
            task.computing_at = now
            self._computing += 1
            self._waiting.pop(task_id, None)

    def _close(self, task_id: str, now: float) -> _OpenTask | None:
        task = self._open.pop(task_id, None)
        self._waiting.pop(task_id, None)
        if task is not None and task.computing_at is not None:
            self._computing -= 1
            self._give_places(now)
        return task

    def _give_places(self, now: float) -> None:
        while self._waiting and self._computing < self._max_concurrent_tasks:
            task_id = next(iter(self._waiting))
            self._begin(task_id, self._waiting[task_id], now)

    def _count_prompt(self, task: _OpenTask, done: int, now: float) -> None:
        new = min(done, task.prompt_tokens) - task.prefilled
        if new > 0:
            task.prefilled += new
            self.prompt_tokens_total += new
            self._prompt_tokens.add(new, now)

    def _count_finished(self, times: TaskTimes, last_token_at: float) -> None:
        """Only good ends: how long it takes to fail says nothing about how fast the service is."""
        self.total_s.add(times.ended_at_s - times.opened_at_s)
        self.prompt_tokens.add(times.prompt_tokens)
        self.completion_tokens.add(times.completion_tokens)
        if times.computing_at_s is None:
            return
        self.queue_s.add(times.computing_at_s - times.opened_at_s)
        if times.first_token_at_s is None:
            return
        self.prefill_s.add(times.first_token_at_s - times.computing_at_s)
        decode_s = last_token_at - times.first_token_at_s
        self.decode_s.add(decode_s)
        if times.completion_tokens > 1:
            self.mean_inter_token_s.add(decode_s / (times.completion_tokens - 1))


def _only_counted(event: TaskFinished | TaskRejected | ErrorChunk | TaskStopped) -> bool:
    return isinstance(event, TaskFinished) and event.finish_reason == "length" and event.completion_tokens == 0


def _end_of(event: TaskFinished | TaskRejected | ErrorChunk | TaskStopped) -> TaskEnd:
    match event:
        case TaskFinished():
            return TaskEnd(event.finish_reason)
        case TaskRejected():
            return TaskEnd.REJECTED
        case ErrorChunk():
            return TaskEnd.FAILED
        case TaskStopped(reason=StopReason.DEADLINE_EXCEEDED):
            return TaskEnd.DEADLINE_EXCEEDED
        case TaskStopped():
            return TaskEnd.CANCELLED
