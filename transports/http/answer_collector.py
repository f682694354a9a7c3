"""Collects an answer that is not streamed, within a bound. Pure."""

from typing import assert_never

from transports.answers import TokenLogprobs
from transports.http.error_rows import error_of_incident, error_of_rejection, error_of_stop
from transports.http.generation import WholeAnswer
from transports.http.held_text import HeldText
from transports.http.stream_answer import cancelled_error
from transports.messages import (
    ErrorChunk,
    PrefillProgress,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TaskQueued,
    TaskRejected,
    TaskStopped,
    TokenChunk,
    ToolCallChunk,
)
from transports.output_events import TaskLog, TaskStderr, TaskStdout

# What a candidate's numbers, text and bytes take beside its characters, roughly.
_CANDIDATE_BYTES = 150


class AnswerCollector:
    """Takes a task's events until it ends.

    Args:
        max_bytes: Most that an answer may hold: text, reasoning, calls and logprobs together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._text = HeldText(max_bytes)
        self._reasoning: list[str] = []
        self._calls: list[ToolCallChunk] = []
        self._logprobs: list[TokenLogprobs] = []
        self.tokens = 0

    def handle(self, event: TaskEvent) -> WholeAnswer | None:
        """Take one event; return the whole answer when this is its good end.

        Raises:
            ApiError: The task ended badly, or its answer is too long to be held.
        """
        match event:
            case TokenChunk():
                self.tokens += 1
                self._add(event)
            case ToolCallChunk():
                self._text.hold(len(event.name) + len(event.arguments), self.tokens)
                self._calls.append(event)
            case TaskFinished():
                if event.finish_reason == "cancelled":
                    raise cancelled_error(self.tokens)
                self._add(event)
                return WholeAnswer(
                    self._text.text, "".join(self._reasoning), tuple(self._calls), tuple(self._logprobs), event
                )
            case TaskRejected():
                raise error_of_rejection(event, self.tokens)
            case ErrorChunk():
                raise error_of_incident(event)
            case TaskStopped():
                raise error_of_stop(event)
            case TaskAccepted() | TaskQueued() | PrefillProgress() | TaskStdout() | TaskStderr() | TaskLog():
                pass
            case _:
                assert_never(event)
        return None

    def _add(self, event: TokenChunk | TaskFinished) -> None:
        self._text.add(event.text, self.tokens)
        if event.reasoning:
            self._text.hold(len(event.reasoning), self.tokens)
            self._reasoning.append(event.reasoning)
        for logprobs in event.logprobs:
            self._text.hold((1 + len(logprobs.top)) * _CANDIDATE_BYTES // 4, self.tokens)
            self._logprobs.append(logprobs)
