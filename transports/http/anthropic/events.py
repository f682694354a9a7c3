"""Anthropic's stream of named events, and the message that it adds up to."""

from typing import Any

from transports.http.anthropic.errors import error_object
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity
from transports.http.json_line import encode_line
from transports.http.server_sent_events import sse_event
from transports.messages import TaskFinished

# Which stop sequence ended an answer is not known here, so that is told as an ordinary end.
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}

_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
)
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class EventWriter:
    """Writes one answer's events. Implements `StreamWriter`.

    Args:
        identity: Told in the first event.
    """

    def __init__(self, identity: AnswerIdentity) -> None:
        self._identity = identity

    def opening(self, prompt_tokens: int) -> bytes:
        """Return the start of the message and of its only content block."""
        message = _message(self._identity, [], None, prompt_tokens, 0)
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return sse_event("message_start", {"type": "message_start", "message": message}) + sse_event(
            "content_block_start", block
        )

    def text(self, text: str) -> bytes:
        """Return one delta."""
        return _DELTA + encode_line(text) + b"}}\n\n"

    def keep_alive(self, note: str) -> bytes:
        """Return a ping, with the note as a comment of the event stream."""
        return f": {note}\n".encode("ascii") + _PING

    def finish(self, finished: TaskFinished) -> bytes:
        """Return held-back text, and the events that end the block and the message."""
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": _STOP_REASONS[finished.finish_reason], "stop_sequence": None},
            "usage": _usage(finished.prompt_tokens, finished.completion_tokens),
        }
        held_back = self.text(finished.text) if finished.text else b""
        return (
            held_back
            + sse_event("content_block_stop", {"type": "content_block_stop", "index": 0})
            + sse_event("message_delta", delta)
            + sse_event("message_stop", {"type": "message_stop"})
        )

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return the `error` event, on which Anthropic's clients raise; no `message_stop` may follow it."""
        return sse_event("error", error_object(error, request_id))


def message_of(identity: AnswerIdentity, text: str, finished: TaskFinished) -> dict[str, Any]:
    """Return the whole `message`."""
    content = [{"type": "text", "text": text}]
    stop_reason = _STOP_REASONS[finished.finish_reason]
    return _message(identity, content, stop_reason, finished.prompt_tokens, finished.completion_tokens)


def _message(
    identity: AnswerIdentity,
    content: list[dict[str, Any]],
    stop_reason: str | None,
    prompt_tokens: int,
    completion_tokens: int,
) -> dict[str, Any]:
    return {
        "id": f"msg_{identity.task_id}",
        "type": "message",
        "role": "assistant",
        "model": identity.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": _usage(prompt_tokens, completion_tokens),
    }


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": prompt_tokens,
        "output_tokens": completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
