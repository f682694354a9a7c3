"""How long one task took, in parts, for surfaces that tell it."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from transports.http.gateway import TaskStream
from transports.messages import TaskEvent, TokenChunk


class Durations(NamedTuple):
    """Nanoseconds: until a runner was asked, from there to the first token, from there to now; and all together."""

    waiting_ns: int
    prompt_ns: int
    generation_ns: int
    total_ns: int


class TaskTiming:
    """The moments of one task. Made when its request was read.

    Args:
        clock: Monotonic nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._started_ns = clock()
        self._submitted_ns: int | None = None
        self._first_token_ns: int | None = None

    @property
    def has_first_token(self) -> bool:
        """Whether `first_token` was called."""
        return self._first_token_ns is not None

    def submitted(self) -> None:
        """Take that the task is a runner's now."""
        self._submitted_ns = self._clock()

    def first_token(self) -> None:
        """Take that the first token is there."""
        self._first_token_ns = self._clock()

    def durations(self) -> Durations:
        """Return what has passed until now; a moment that has not come yet counts as now."""
        now_ns = self._clock()
        submitted_ns = now_ns if self._submitted_ns is None else self._submitted_ns
        first_token_ns = now_ns if self._first_token_ns is None else self._first_token_ns
        return Durations(
            waiting_ns=submitted_ns - self._started_ns,
            prompt_ns=first_token_ns - submitted_ns,
            generation_ns=now_ns - first_token_ns,
            total_ns=now_ns - self._started_ns,
        )


class TimedTask:
    """A task's stream whose first token is noted. Implements `TaskStream`.

    Args:
        stream: The task's own stream.
        timing: Is told.
    """

    def __init__(self, stream: TaskStream, timing: TaskTiming) -> None:
        self._stream = stream
        self._timing = timing

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._stream.task_id

    async def take(self) -> Sequence[TaskEvent]:
        """Return what has come since the last call; see `TaskStream.take`."""
        events = await self._stream.take()
        if not self._timing.has_first_token and any(isinstance(event, TokenChunk) for event in events):
            self._timing.first_token()
        return events
