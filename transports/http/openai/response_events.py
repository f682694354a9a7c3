"""The Responses API's stream of numbered events, and the response that it adds up to."""

from collections.abc import Sequence
from typing import Any

from transports.http.errors import ApiError, internal_error
from transports.http.generation import AnswerIdentity
from transports.http.held_text import HeldText
from transports.http.json_line import encode_line
from transports.http.server_sent_events import sse_comment, sse_event
from transports.messages import TaskFinished, TokenLogprobs, ToolCallChunk


class ResponseEventWriter:
    """Writes one answer's events. Implements `StreamWriter`.

    Args:
        identity: Repeated in each response.
        max_held_bytes: Longest answer, which the last events repeat.
    """

    def __init__(self, identity: AnswerIdentity, max_held_bytes: int) -> None:
        self._identity = identity
        self._held = HeldText(max_held_bytes)
        self._next_number = 0
        self._place = {"item_id": _item_id(identity), "output_index": 0, "content_index": 0}

    def opening(self, prompt_tokens: int) -> bytes:
        """Return the events that open the response, its only message and the only part of that."""
        del prompt_tokens
        response = _response(self._identity, "in_progress", [])
        return b"".join(
            (
                self._event("response.created", response=response),
                self._event("response.in_progress", response=response),
                self._event("response.output_item.added", output_index=0, item=_item(self._identity, "in_progress")),
                self._event("response.content_part.added", **self._place, part=_part("")),
            )
        )

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one delta.

        Raises:
            ApiError: The answer is too long to be repeated at its end.
        """
        del logprobs
        self._held.add(text)
        return self._event("response.output_text.delta", **self._place, delta=text, logprobs=[])

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
        """Return a comment of the event stream: clients skip it."""
        return sse_comment(note)

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the events that end the part, the message and the response."""
        text = self._held.text
        response = response_of(self._identity, text, finished)
        return b"".join(
            (
                self._event("response.output_text.done", **self._place, text=text, logprobs=[]),
                self._event("response.content_part.done", **self._place, part=_part(text)),
                self._event("response.output_item.done", output_index=0, item=response["output"][0]),
                self._event(f"response.{response['status']}", response=response),
            )
        )

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return `response.failed`, and the data on which OpenAI's clients raise: the event alone they only hand on."""
        response = _response(self._identity, "failed", [])
        response["error"] = {"code": "server_error", "message": error.message}
        failed = self._event("response.failed", response=response)
        return failed + b'data: {"error":' + encode_line(error.body(request_id)) + b"}\n\n"

    def _event(self, name: str, **members: Any) -> bytes:
        number = self._next_number
        self._next_number += 1
        return sse_event(name, {"type": name, "sequence_number": number, **members})


def response_of(identity: AnswerIdentity, text: str, finished: TaskFinished) -> dict[str, Any]:
    """Return the whole `response`."""
    status = "incomplete" if finished.finish_reason == "length" else "completed"
    response = _response(identity, status, [_item(identity, status, text)])
    if status == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    response["usage"] = {
        "input_tokens": finished.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": finished.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": finished.prompt_tokens + finished.completion_tokens,
    }
    return response


def _response(identity: AnswerIdentity, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{identity.task_id}",
        "object": "response",
        "created_at": identity.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "max_output_tokens": identity.sampling.max_tokens,
        "metadata": identity.metadata,
        "model": identity.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": identity.sampling.temperature,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": identity.sampling.top_p,
        "truncation": "disabled",
        "usage": None,
    }


def _item_id(identity: AnswerIdentity) -> str:
    return f"msg_{identity.task_id}"


def _item(identity: AnswerIdentity, status: str, text: str | None = None) -> dict[str, Any]:
    content = [] if text is None else [_part(text)]
    return {
        "id": _item_id(identity),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
