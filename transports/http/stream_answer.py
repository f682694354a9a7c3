"""One streamed answer as a pure machine: events of the task in, bytes of the event stream out.

    HELD --accepted, progress, token, finish--> OPEN --finish, error, rejection, end without either--> ENDED
    HELD --error, rejection, end without either--> raises ApiError, so that it becomes a real status

Exactly one terminal event is written, and the normal end is written only for `TaskFinished` that was not a cancel.
"""

from typing import assert_never

from transports.http.error_rows import error_of_incident, error_of_rejection, error_of_stop
from transports.http.errors import ApiError, internal_error
from transports.http.generation import StreamWriter
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


class StreamAnswer:
    """Decides what is written for each event.

    Args:
        writer: The surface's shapes.
        request_id: Repeated in the error, if there is one.
    """

    def __init__(self, writer: StreamWriter, request_id: str) -> None:
        self._writer = writer
        self._request_id = request_id
        self._tokens = 0
        self._prompt_tokens = 0
        self._note = "waiting"
        self.opened = False
        self.ended = False

    def handle(self, event: TaskEvent) -> bytes:
        """Take the task's next event and return the bytes to write, none when there are none.

        Raises:
            ApiError: The task failed while the response head is still held.
        """
        if self.ended:
            return b""
        match event:
            case TokenChunk():
                self._tokens += 1
                return self._open() + self._pieces(event)
            case ToolCallChunk():
                return self._open() + self._call(event)
            case TaskAccepted():
                self._prompt_tokens = event.prompt_tokens
                return self._open()
            case PrefillProgress():
                self._note = f"prefill {event.done}/{event.total}"
                return self._open() + self.keep_alive()
            case TaskQueued():
                self._note = f"queued {event.position}/{event.waiting}"
                return self.keep_alive() if self.opened else b""
            case TaskFinished():
                return self._finish(event)
            case TaskRejected():
                return self.fail(error_of_rejection(event, self._tokens))
            case ErrorChunk():
                return self.fail(error_of_incident(event))
            case TaskStopped():
                return self.fail(error_of_stop(event))
            case TaskStdout() | TaskStderr() | TaskLog():
                # For operators: what a runner prints may name paths and other people's prompts.
                return b""
            case _:
                assert_never(event)

    def stopped(self) -> bytes:
        """Take that no more events come; without a terminal event before it, that is a failure.

        Raises:
            ApiError: The response head is still held.
        """
        return b"" if self.ended else self.fail(internal_error(self._tokens))

    def fail(self, error: ApiError) -> bytes:
        """End the answer with `error`.

        Raises:
            ApiError: `error` itself, while the response head is held.
        """
        self.ended = True
        if not self.opened:
            raise error
        return self._writer.failure(error, self._request_id)

    def keep_alive(self) -> bytes:
        """Return what keeps a silent connection alive: clients skip it, proxies see traffic."""
        return self._writer.keep_alive(f"decode {self._tokens}" if self._tokens else self._note)

    @property
    def tokens_emitted(self) -> int:
        """Tokens handled so far."""
        return self._tokens

    def _open(self) -> bytes:
        if self.opened:
            return b""
        self.opened = True
        return self._writer.opening(self._prompt_tokens)

    def _call(self, event: ToolCallChunk) -> bytes:
        try:
            return self._writer.tool_call(event)
        except ApiError as error:
            return self._fail_here(error)

    def _pieces(self, event: TokenChunk | TaskFinished) -> bytes:
        """What an event shows; none of it costs anything when it shows nothing."""
        data = b""
        try:
            if event.reasoning:
                data += self._writer.reasoning(event.reasoning)
            if event.text or event.logprobs:
                data += self._writer.text(event.text, event.logprobs)
        except ApiError as error:
            return data + self._fail_here(error)
        return data

    def _finish(self, event: TaskFinished) -> bytes:
        if event.finish_reason == "cancelled":
            return self.fail(cancelled_error(self._tokens))
        before = self._open() + self._pieces(event)
        if self.ended:
            return before
        try:
            last = self._writer.finish(event)
        except ApiError as error:
            return before + self._fail_here(error)
        self.ended = True
        return before + last

    def _fail_here(self, error: ApiError) -> bytes:
        error.tokens_emitted = self._tokens
        return self.fail(error)


def cancelled_error(tokens_emitted: int) -> ApiError:
    """Return the error for a task that was cancelled by somebody else than its client: its answer is not whole."""
    return ApiError(
        503,
        "service_stopping",
        "The task was cancelled before its answer was complete, because its runner group is stopping.",
        retryable=True,
        tokens_emitted=tokens_emitted,
    )
