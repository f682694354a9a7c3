"""The Responses API's `response` and the items that its output is made of."""

from collections.abc import Sequence
from typing import Any, Literal

from transports.http.generation import AnswerIdentity, WholeAnswer
from transports.http.openai.namespaces import split_name
from transports.messages import TaskFinished, ToolCallChunk

ItemKind = Literal["message", "reasoning"]
Item = dict[str, Any]

_ID_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


def whole_response(identity: AnswerIdentity, answer: WholeAnswer) -> dict[str, Any]:
    """Return the `response` of a whole answer: reasoning, text, tool calls; an empty message where there is nothing."""
    status = status_of(answer.finished)
    items: list[Item] = []
    if answer.reasoning:
        reasoning_status = "completed" if answer.text or answer.tool_calls else status
        items.append(text_item(identity, 0, "reasoning", status=reasoning_status, text=answer.reasoning))
    if answer.text.strip() or not (answer.tool_calls or (answer.reasoning and not answer.text)):
        items.append(text_item(identity, len(items), "message", status=status, text=answer.text))
    for call in answer.tool_calls:
        items.append(call_item(identity, len(items), call, status="completed"))
    return finished_response(identity, items, answer.finished)


def finished_response(identity: AnswerIdentity, output: Sequence[Item], finished: TaskFinished) -> dict[str, Any]:
    """Return the `response` at its good end."""
    response = response_of(identity, status_of(finished), output)
    if finished.finish_reason == "length":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    response["usage"] = {
        "input_tokens": finished.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": finished.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": finished.reasoning_tokens},
        "total_tokens": finished.prompt_tokens + finished.completion_tokens,
    }
    return response


def status_of(finished: TaskFinished) -> str:
    """Return the status of an answer that ended well."""
    return "incomplete" if finished.finish_reason == "length" else "completed"


def response_of(identity: AnswerIdentity, status: str, output: Sequence[Item]) -> dict[str, Any]:
    """Return a `response` without usage."""
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
        "parallel_tool_calls": identity.sampling.max_tool_calls is None,
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


def text_item(identity: AnswerIdentity, index: int, kind: ItemKind, *, status: str, text: str | None) -> Item:
    """Return a message or a reasoning item; without any part while `text` is None."""
    content = [] if text is None else [text_part(kind, text)]
    item: Item = {"id": item_id(identity, index, kind), "type": kind, "status": status, "content": content}
    return item | ({"role": "assistant"} if kind == "message" else {"summary": []})


def text_part(kind: ItemKind, text: str) -> dict[str, Any]:
    """Return the only part of an item."""
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(
    identity: AnswerIdentity, index: int, call: ToolCallChunk, *, status: str, arguments: str | None = None
) -> Item:
    """Return a call of a function; its arguments may be told later."""
    namespace, name = split_name(call.name)
    item: Item = {
        "id": item_id(identity, index, "function_call"),
        "type": "function_call",
        "status": status,
        "call_id": call.call_id,
        "name": name,
        "arguments": call.arguments if arguments is None else arguments,
    }
    return item if namespace is None else item | {"namespace": namespace}


def item_id(identity: AnswerIdentity, index: int, kind: str) -> str:
    """Return the id of the item at a place of the output."""
    return f"{_ID_PREFIXES[kind]}_{identity.task_id}_{index}"
