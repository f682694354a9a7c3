"""Ollama's stream of JSON lines, and the object that it adds up to."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from transports.answers import TokenLogprobs
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity, WholeAnswer
from transports.http.json_line import encode_line
from transports.http.ollama.errors import error_object
from transports.messages import TaskFinished, ToolCallChunk

MEDIA_TYPE = "application/x-ndjson"


class AnswerShape(NamedTuple):
    """How one endpoint writes an answer, or a piece of it, as members of an object.

    `before_text` and `after_text` are what stands around a piece of text; `members` gives the same for text, thinking
    and calls together.
    """

    before_text: bytes
    after_text: bytes
    members: Callable[[str, str, Sequence[ToolCallChunk]], dict[str, Any]]


class LineWriter:
    """Writes one answer's lines. Implements `StreamWriter`.

    Args:
        identity: Repeated in each line; its timing is told in the last one.
        shape: The endpoint's.
    """

    def __init__(self, identity: AnswerIdentity, shape: AnswerShape) -> None:
        self._identity = identity
        self._shape = shape
        # One JSON encoding per token: that of its text.
        self._before_text = encode_line(_start_of(identity))[:-1] + b"," + shape.before_text
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
        """Return one line of thinking."""
        return self._line(self._shape.members("", text, ()))

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Return one line with the whole call."""
        return self._line(self._shape.members("", "", (call,)))

    def keep_alive(self, note: str) -> bytes:
        """Return a line without text: the format has no comments, and clients stumble over empty lines."""
        del note
        return self.text("")

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the line that says `done`."""
        return _last_object(self._identity, self._shape.members("", "", ()), finished) + b"\n"

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return the line with `error`, on which Ollama's clients raise; none says `done: true`."""
        return self._line(error_object(error, request_id))

    def _line(self, members: dict[str, Any]) -> bytes:
        return encode_line({**_start_of(self._identity), **members, "done": False}) + b"\n"


def whole_object(identity: AnswerIdentity, shape: AnswerShape, answer: WholeAnswer) -> bytes:
    """Return an answer that is not streamed."""
    return _last_object(identity, shape.members(answer.text, answer.reasoning, answer.tool_calls), answer.finished)


def _last_object(identity: AnswerIdentity, members: dict[str, Any], finished: TaskFinished) -> bytes:
    durations = identity.timing.durations()
    if identity.sampling.max_tokens == 0:
        return encode_line({**_start_of(identity), **members, "done": True, "done_reason": "load"})
    return encode_line(
        {
            **_start_of(identity),
            **members,
            "done": True,
            "done_reason": "length" if finished.finish_reason == "length" else "stop",
            "total_duration": durations.total_ns,
            "load_duration": durations.waiting_ns,
            "prompt_eval_count": finished.prompt_tokens,
            "prompt_eval_duration": durations.prompt_ns,
            "eval_count": finished.completion_tokens,
            "eval_duration": durations.generation_ns,
        }
    )


def timestamp(seconds: int) -> str:
    """Return seconds since the Unix epoch as Ollama writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _start_of(identity: AnswerIdentity) -> dict[str, Any]:
    return {"model": identity.model, "created_at": timestamp(identity.created)}
