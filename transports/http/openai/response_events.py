"""The Responses API's stream of numbered events: a response, and in it one item after the other."""

from collections.abc import Sequence
from typing import Any

from transports.answers import TokenLogprobs
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity
from transports.http.held_text import HeldText
from transports.http.json_line import encode_line
from transports.http.leading_space import LeadingSpace
from transports.http.openai.response_object import (
    Item,
    ItemKind,
    call_item,
    finished_response,
    item_id,
    response_of,
    status_of,
    text_item,
    text_part,
)
from transports.http.server_sent_events import sse_comment, sse_event
from transports.messages import TaskFinished, ToolCallChunk

# What the events about an item's text are called, and what else they tell.
_TEXT_EVENTS: dict[ItemKind, str] = {"message": "response.output_text", "reasoning": "response.reasoning_text"}
_TEXT_MEMBERS: dict[ItemKind, dict[str, Any]] = {"message": {"logprobs": []}, "reasoning": {}}


class ResponseEventWriter:
    """Writes one answer's events. Implements `StreamWriter`.

    Args:
        identity: Repeated in each response.
        max_held_bytes: Longest answer, which the last events repeat.
    """

    def __init__(self, identity: AnswerIdentity, max_held_bytes: int) -> None:
        self._identity = identity
        self._held = HeldText(max_held_bytes)
        self._space = LeadingSpace()
        self._next_number = 0
        self._items: list[Item] = []
        self._open: ItemKind | None = None
        self._pieces: list[str] = []

    def opening(self, prompt_tokens: int) -> bytes:
        """Return the events that open the response."""
        del prompt_tokens
        response = response_of(self._identity, "in_progress", [])
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one delta of a message, which is begun if need be.

        Raises:
            ApiError: The answer is too long to be repeated at its end.
        """
        del logprobs
        self._held.hold(len(text))
        return self._delta("message", self._space.push(text))

    def reasoning(self, text: str) -> bytes:
        """Return one delta of a reasoning item, which is begun if need be.

        Raises:
            ApiError: As `text`.
        """
        self._held.hold(len(text))
        self._space.interrupt(by_call=False)
        return self._delta("reasoning", text)

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Return a whole item, its arguments in one delta.

        Raises:
            ApiError: As `text`.
        """
        self._held.hold(len(call.name) + len(call.arguments))
        self._space.interrupt(by_call=True)
        stopped = self._stop("completed")
        index = len(self._items)
        place = {"item_id": item_id(self._identity, index, "function_call"), "output_index": index}
        begun = call_item(self._identity, index, call, status="in_progress", arguments="")
        item = call_item(self._identity, index, call, status="completed")
        self._items.append(item)
        return stopped + b"".join(
            (
                self._event("response.output_item.added", output_index=index, item=begun),
                self._event("response.function_call_arguments.delta", **place, delta=call.arguments),
                self._event("response.function_call_arguments.done", **place, arguments=call.arguments),
                self._event("response.output_item.done", output_index=index, item=item),
            )
        )

    def keep_alive(self, note: str) -> bytes:
        """Return a comment of the event stream: clients skip it."""
        return sse_comment(note)

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the events that end the open item and the response; one without any item gets an empty message."""
        last = self._delta("message", self._space.flush())
        if self._open is None and not self._items:
            last = self._start("message")
        last += self._stop(status_of(finished))
        response = finished_response(self._identity, self._items, finished)
        return last + self._event(f"response.{response['status']}", response=response)

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return `response.failed`, and the data on which OpenAI's clients raise: the event alone they only hand on."""
        response = response_of(self._identity, "failed", [])
        response["error"] = {"code": "server_error", "message": error.message}
        failed = self._event("response.failed", response=response)
        return failed + b'data: {"error":' + encode_line(error.body(request_id)) + b"}\n\n"

    def _delta(self, kind: ItemKind, text: str) -> bytes:
        if not text:
            return b""
        started = b"" if self._open == kind else self._start(kind)
        self._pieces.append(text)
        members = self._place(kind) | {"delta": text} | _TEXT_MEMBERS[kind]
        return started + self._event(f"{_TEXT_EVENTS[kind]}.delta", **members)

    def _start(self, kind: ItemKind) -> bytes:
        stopped = self._stop("completed")
        self._open = kind
        index = len(self._items)
        item = text_item(self._identity, index, kind, status="in_progress", text=None)
        return (
            stopped
            + self._event("response.output_item.added", output_index=index, item=item)
            + self._event("response.content_part.added", **self._place(kind), part=text_part(kind, ""))
        )

    def _stop(self, status: str) -> bytes:
        kind, self._open = self._open, None
        if kind is None:
            return b""
        place, index, text = self._place(kind), len(self._items), "".join(self._pieces)
        self._pieces.clear()
        item = text_item(self._identity, index, kind, status=status, text=text)
        self._items.append(item)
        return b"".join(
            (
                self._event(f"{_TEXT_EVENTS[kind]}.done", **place, text=text, **_TEXT_MEMBERS[kind]),
                self._event("response.content_part.done", **place, part=item["content"][0]),
                self._event("response.output_item.done", output_index=index, item=item),
            )
        )

    def _place(self, kind: ItemKind) -> dict[str, Any]:
        index = len(self._items)
        return {"item_id": item_id(self._identity, index, kind), "output_index": index, "content_index": 0}

    def _event(self, name: str, **members: Any) -> bytes:
        number = self._next_number
        self._next_number += 1
        return sse_event(name, {"type": name, "sequence_number": number, **members})
