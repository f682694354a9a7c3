"""Anthropic's `message`, whole or as far as it is there."""

from typing import Any

import msgspec

from transports.http.generation import AnswerIdentity, WholeAnswer
from transports.messages import TaskFinished


def whole_message(identity: AnswerIdentity, answer: WholeAnswer) -> dict[str, Any]:
    """Return the `message` of a whole answer: thinking, text, tool calls; an empty text where there is nothing."""
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        content.append({**empty_block("thinking"), "thinking": answer.reasoning})
    if answer.text.strip() or (answer.text and not answer.tool_calls):
        content.append({**empty_block("text"), "text": answer.text})
    for call in answer.tool_calls:
        # As it is: what was a number to the model stays one.
        arguments = msgspec.Raw(call.arguments.encode())
        content.append({"type": "tool_use", "id": call.call_id, "name": call.name, "input": arguments})
    finished = answer.finished
    message = message_of(identity, content or [empty_block("text")], finished, finished.prompt_tokens)
    message["usage"] = usage_of(finished.prompt_tokens, finished.completion_tokens)
    return message


def empty_block(kind: str) -> dict[str, Any]:
    """Return a block of text or thinking before its first piece. Nothing is signed here."""
    return {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {})}


def message_of(
    identity: AnswerIdentity, content: list[dict[str, Any]], finished: TaskFinished | None, prompt_tokens: int
) -> dict[str, Any]:
    """Return a `message`; `finished` is None while it is not."""
    reason, sequence = (None, None) if finished is None else stop_of(identity, finished)
    return {
        "id": f"msg_{identity.task_id}",
        "type": "message",
        "role": "assistant",
        "model": identity.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage_of(prompt_tokens, 0),
    }


def stop_of(identity: AnswerIdentity, finished: TaskFinished) -> tuple[str, str | None]:
    """Return why an answer ended, in Anthropic's words, and the stop sequence that ended it."""
    if finished.stop_sequence is not None:
        return "stop_sequence", finished.stop_sequence
    match finished.finish_reason:
        case "tool_calls":
            return "tool_use", None
        case "length":
            limit = identity.sampling.max_tokens
            context_is_full = limit is not None and finished.completion_tokens < limit
            return ("model_context_window_exceeded" if context_is_full else "max_tokens"), None
        case _:
            return "end_turn", None


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return Anthropic's `usage`; nothing is cached between requests."""
    return {
        "input_tokens": prompt_tokens,
        "output_tokens": completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
