"""One streamed chat completion, read as raw server-sent events: just what a client sees, with no SDK in between."""

import json
from collections.abc import Callable
from typing import Any, cast

import httpx2
import msgspec

STREAM_STEP_TIMEOUT_S = 60.0


class StreamOutcome(msgspec.Struct, frozen=True):
    """How a stream ended. `error_event` is the event with an error as it was on the wire, and `error` what it holds."""

    text: str
    tokens: int
    finish_reason: str | None
    done: bool
    error_event: str | None
    error: dict[str, Any] | None


def stream_answer(
    url: str, request: dict[str, Any], on_token: Callable[[int, str], None] = lambda count, text: None
) -> StreamOutcome:
    """Stream one answer to its end. Blocks; each step of the exchange has a deadline.

    Args:
        url: The daemon's address.
        request: The body of `/v1/chat/completions`, without `stream`.
        on_token: Called with the number of tokens so far and the token's text.

    Raises:
        httpx2.HTTPError: The exchange itself broke, or the status is an error.
    """
    text, tokens, finish_reason, done = "", 0, None, False
    error_event: str | None = None
    error: dict[str, Any] | None = None
    timeout = httpx2.Timeout(STREAM_STEP_TIMEOUT_S)
    with (
        httpx2.Client(timeout=timeout, trust_env=False) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json={**request, "stream": True}) as answer,
    ):
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data:"):
                continue
            payload = line.removeprefix("data:").strip()
            if payload == "[DONE]":
                done = True
                continue
            event = cast(dict[str, Any], json.loads(payload))
            if "error" in event:
                error_event, error = payload, event["error"]
            for choice in event.get("choices", ()):
                finish_reason = choice.get("finish_reason") or finish_reason
                piece = choice.get("delta", {}).get("content")
                if piece:
                    text += piece
                    tokens += 1
                    on_token(tokens, piece)
    return StreamOutcome(text, tokens, finish_reason, done, error_event, error)
