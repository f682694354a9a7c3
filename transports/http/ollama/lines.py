"""Ollama's stream of JSON lines, and the object that it adds up to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from transports.http.errors import ApiError, internal_error
from transports.http.generation import AnswerIdentity
from transports.http.json_line import encode_line
from transports.http.ollama.errors import error_object
from transports.messages import TaskFinished, TokenLogprobs, ToolCallChunk

MEDIA_TYPE = "application/x-ndjson"


class TextShape(NamedTuple):
    """How one endpoint writes a piece of text as a member of an object: what stands before and after it."""

    before_text: bytes
    after_text: bytes


class LineWriter:
    """Writes one answer's lines. Implements `StreamWriter`.

    Args:
        identity: Repeated in each line; its timing is told in the last one.
        shape: The endpoint's text.
    """

    def __init__(self, identity: AnswerIdentity, shape: TextShape) -> None:
        self._identity = identity
        self._shape = shape
        self._before_text = _open_object(_start_of(identity)) + shape.before_text
        self._after_text = shape.after_text + b',"done":false}\n'

    def opening(self, prompt_tokens: int) -> bytes:
        """Nothing comes before the first token."""
        del prompt_tokens
        return b""

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one line of text."""
        del logprobs
        return self._before_text + encode_line(text) + self._after_text

    def reasoning(self, text: str) -> bytes:
        """Return it as text."""
        return self.text(text)

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Refuse: this surface offers no tools to a model.

        Raises:
            ApiError: Always.
        """
        del call
        raise internal_error()

    def keep_alive(self, note: str) -> bytes:
        """Return a line without text: the format has no comments, and clients stumble over empty lines."""
        del note
        return self.text("")

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the line that says `done`."""
        return whole_object(self._identity, self._shape, "", finished) + b"\n"

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return the line with `error`, on which Ollama's clients raise; none says `done: true`."""
        return encode_line({**_start_of(self._identity), "done": False, **error_object(error, request_id)}) + b"\n"


def whole_object(identity: AnswerIdentity, shape: TextShape, text: str, finished: TaskFinished) -> bytes:
    """Return the object that ends a stream, which is also the whole answer when `text` is all of it."""
    durations = identity.timing.durations()
    end = {
        "done": True,
        "done_reason": finished.finish_reason,
        "total_duration": durations.total_ns,
        "load_duration": durations.waiting_ns,
        "prompt_eval_count": finished.prompt_tokens,
        "prompt_eval_duration": durations.prompt_ns,
        "eval_count": finished.completion_tokens,
        "eval_duration": durations.generation_ns,
    }
    before_text = _open_object(_start_of(identity)) + shape.before_text
    return before_text + encode_line(text) + shape.after_text + b"," + encode_line(end)[1:]


def timestamp(seconds: int) -> str:
    """Return seconds since the Unix epoch as Ollama writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _start_of(identity: AnswerIdentity) -> dict[str, Any]:
    return {"model": identity.model, "created_at": timestamp(identity.created)}


def _open_object(members: dict[str, Any]) -> bytes:
    return encode_line(members)[:-1] + b","
