"""Anthropic's stream of named events: a message, and in it one content block after the other."""

from collections.abc import Sequence
from typing import Any

from transports.answers import TokenLogprobs
from transports.http.anthropic.errors import error_object
from transports.http.anthropic.message import empty_block, message_of, stop_of, usage_of
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity
from transports.http.json_line import encode_line
from transports.http.leading_space import LeadingSpace
from transports.http.server_sent_events import sse_event
from transports.messages import TaskFinished, ToolCallChunk

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class EventWriter:
    """Writes one answer's events. Implements `StreamWriter`.

    Args:
        identity: Told in the first event.
    """

    def __init__(self, identity: AnswerIdentity) -> None:
        self._identity = identity
        self._index = -1
        self._open_kind: str | None = None
        self._before_delta = b""
        self._space = LeadingSpace()

    def opening(self, prompt_tokens: int) -> bytes:
        """Return the start of the message."""
        message = message_of(self._identity, [], None, prompt_tokens)
        return sse_event("message_start", {"type": "message_start", "message": message})

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one delta of a text block, which is begun if need be."""
        del logprobs
        return self._text(self._space.push(text))

    def reasoning(self, text: str) -> bytes:
        """Return one delta of a thinking block, which is begun if need be."""
        self._space.interrupt(by_call=False)
        return self._delta("thinking", "thinking_delta", text)

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Return a whole block, its input in one delta."""
        self._space.interrupt(by_call=True)
        block: dict[str, Any] = {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": call.arguments}
        started = self._start("tool_use", block)
        event = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return started + sse_event("content_block_delta", event) + self._stop()

    def keep_alive(self, note: str) -> bytes:
        """Return a ping, with the note as a comment of the event stream."""
        return f": {note}\n".encode("ascii") + _PING

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the events that end the block and the message; one without any block gets an empty one."""
        reason, sequence = stop_of(self._identity, finished)
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage_of(finished.prompt_tokens, finished.completion_tokens),
        }
        last = self._text(self._space.flush())
        if self._index < 0:
            last = self._start("text", empty_block("text"))
        return (
            last
            + self._stop()
            + sse_event("message_delta", delta)
            + sse_event("message_stop", {"type": "message_stop"})
        )

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return the `error` event, on which Anthropic's clients raise; no `message_stop` may follow it."""
        return sse_event("error", error_object(error, request_id))

    def _text(self, text: str) -> bytes:
        return self._delta("text", "text_delta", text) if text else b""

    def _delta(self, kind: str, delta_kind: str, text: str) -> bytes:
        started = b""
        if self._open_kind != kind:
            started = self._start(kind, empty_block(kind))
            opened = {"type": "content_block_delta", "index": self._index, "delta": {"type": delta_kind}}
            # One JSON encoding per token: that of its text.
            unfinished = encode_line(opened)[:-2] + b',"' + kind.encode() + b'":'
            self._before_delta = b"event: content_block_delta\ndata: " + unfinished
        return started + self._before_delta + encode_line(text) + b"}}\n\n"

    def _start(self, kind: str, block: dict[str, Any]) -> bytes:
        stopped = self._stop()
        self._index += 1
        self._open_kind = kind
        event = {"type": "content_block_start", "index": self._index, "content_block": block}
        return stopped + sse_event("content_block_start", event)

    def _stop(self) -> bytes:
        if self._open_kind is None:
            return b""
        self._open_kind = None
        return sse_event("content_block_stop", {"type": "content_block_stop", "index": self._index})
