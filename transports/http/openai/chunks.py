"""Chunks of an OpenAI event stream, written with one JSON encoding per token: that of its text."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from transports.answers import TokenLogprobs
from transports.http.errors import ApiError, internal_error
from transports.http.generation import AnswerIdentity
from transports.http.json_line import encode_line
from transports.http.server_sent_events import sse_comment
from transports.messages import TaskFinished, ToolCallChunk

_ENCODER = msgspec.json.Encoder()
_DONE = b"data: [DONE]\n\n"


class ChoiceShape(NamedTuple):
    """How one endpoint writes the only entry of `choices`.

    `before_text` is the start of an entry with text, `after_text` what follows the text, up to the `logprobs`, which
    `logprobs` makes. `empty` is an entry without text, up to its `finish_reason`; `opening` is that of a first chunk,
    None when there is no such chunk.
    """

    before_text: bytes
    after_text: bytes
    logprobs: Callable[[Sequence[TokenLogprobs]], dict[str, Any]]
    empty: bytes
    opening: bytes | None


class ChunkWriter:
    """Writes one answer's chunks. Implements `StreamWriter` for answers that are text alone.

    Args:
        identity: Repeated in each chunk.
        answer_id: `id` of each chunk.
        object_name: `object` of each chunk.
        shape: The endpoint's `choices` entry.
    """

    def __init__(self, identity: AnswerIdentity, answer_id: str, object_name: str, shape: ChoiceShape) -> None:
        chunk = {"id": answer_id, "object": object_name, "created": identity.created, "model": identity.model}
        self._start = b"data: " + _ENCODER.encode(chunk)[:-1] + b',"choices":['
        self._shape = shape
        self._include_usage = identity.include_usage
        self._tail = b'],"usage":null}\n\n' if identity.include_usage else b"]}\n\n"
        self._before_text = self._start + shape.before_text
        self._after_logprobs = b',"finish_reason":null}' + self._tail
        self._after_text = shape.after_text + b"null" + self._after_logprobs

    def opening(self, prompt_tokens: int) -> bytes:
        """Return the role chunk where the endpoint has one."""
        del prompt_tokens
        return b"" if self._shape.opening is None else self._start + self._shape.opening + b"null}" + self._tail

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one chunk of text."""
        if not logprobs:
            return self._before_text + encode_line(text) + self._after_text
        numbers = encode_line(self._shape.logprobs(logprobs))
        return self._before_text + encode_line(text) + self._shape.after_text + numbers + self._after_logprobs

    def reasoning(self, text: str) -> bytes:
        """Return a chunk of text: what goes around chat templates is not taken apart."""
        return self.text(text)

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Refuse: what was not offered tools calls none.

        Raises:
            ApiError: Always.
        """
        del call
        raise internal_error()

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the finish chunk, usage where asked for, and `[DONE]`."""
        last = self._start + self._shape.empty + _ENCODER.encode(finished.finish_reason) + b"}" + self._tail
        return last + self._usage(finished) + _DONE

    def keep_alive(self, note: str) -> bytes:
        """Return a comment of the event stream: clients skip it."""
        return sse_comment(note)

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return the chunk-shaped error that every OpenAI SDK raises on; no `[DONE]` may follow it."""
        body = encode_line(error.body(request_id))
        return self._start + self._shape.empty + b'"error"}],"error":' + body + b"}\n\n"

    def _choice(self, entry: bytes) -> bytes:
        """One chunk with this entry, for endpoints whose answers have other parts than text."""
        return self._start + entry + self._tail

    def _usage(self, finished: TaskFinished) -> bytes:
        if not self._include_usage:
            return b""
        return self._start + b'],"usage":' + _ENCODER.encode(usage_of(finished)) + b"}\n\n"


def usage_of(finished: TaskFinished) -> dict[str, Any]:
    """Return OpenAI's `usage` object."""
    usage: dict[str, Any] = {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.completion_tokens,
        "total_tokens": finished.prompt_tokens + finished.completion_tokens,
    }
    if finished.reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": finished.reasoning_tokens}
    return usage
