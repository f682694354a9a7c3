"""For each API: whatever events come in whatever order, a stream has one end, and no failure looks like success."""

import contextlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.agent_events import called, thought
from tests.transports.http.scripted_gateway import TASK, accepted, finished, token
from tests.transports.http.test_stream_answer import EVENTS, first_terminal
from transports.http.anthropic.messages import MessagesSurface
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity, Surface
from transports.http.limits import HttpLimits
from transports.http.ollama.chat import OllamaChatSurface
from transports.http.ollama.generate import OllamaGenerateSurface
from transports.http.openai.responses import ResponsesSurface
from transports.http.stream_answer import StreamAnswer
from transports.messages import TaskEvent, TaskFinished

IDENTITY = AnswerIdentity(TASK, "tiny", 0, True)

Parts = list[dict[str, Any]]


def sse_data(written: bytes) -> Parts:
    """The data of each event; a line that is none of the format's fails."""
    found: Parts = []
    for line in written.decode().splitlines():
        name, _, value = line.partition(":")
        assert name in ("", "event", "data")
        if name == "data":
            found.append(json.loads(value))
    return found


def json_lines(written: bytes) -> Parts:
    return [json.loads(line) for line in written.decode().splitlines()]


class Reading(NamedTuple):
    """How the clients of one API read a stream."""

    surface: Surface
    parts: Callable[[bytes], Parts]
    is_success: Callable[[dict[str, Any]], bool]
    text: Callable[[dict[str, Any]], str]


READINGS = (
    Reading(
        MessagesSurface(),
        sse_data,
        lambda part: part["type"] == "message_stop",
        lambda part: part["delta"].get("text", "") if part["type"] == "content_block_delta" else "",
    ),
    Reading(OllamaChatSurface(), json_lines, lambda part: part["done"], lambda part: part["message"]["content"]),
    Reading(OllamaGenerateSurface(), json_lines, lambda part: part["done"], lambda part: part["response"]),
    Reading(
        ResponsesSurface(HttpLimits()),
        sse_data,
        lambda part: part.get("type") in ("response.completed", "response.incomplete"),
        lambda part: part["delta"] if part["type"] == "response.output_text.delta" else "",
    ),
    # So short that most answers cannot be held to their end.
    Reading(
        ResponsesSurface(HttpLimits(max_answer_bytes=8)),
        sse_data,
        lambda part: part.get("type") in ("response.completed", "response.incomplete"),
        lambda part: part["delta"] if part["type"] == "response.output_text.delta" else "",
    ),
)


EVENTS_OF_AGENTS = st.one_of(
    EVENTS, st.builds(thought, st.text(min_size=1, max_size=5)), st.builds(called, st.integers(0, 3), st.just("Ulm"))
)


@given(st.lists(EVENTS_OF_AGENTS, max_size=12), st.sampled_from(READINGS))
def test_exactly_one_end(events: list[TaskEvent], reading: Reading) -> None:
    answer = StreamAnswer(reading.surface.stream_writer(IDENTITY), "req-1")
    written = b""
    refused: ApiError | None = None
    try:
        for event in events:
            written += answer.handle(event)
        written += answer.stopped()
    except ApiError as exc:
        refused = exc
        with contextlib.suppress(ApiError):
            written += answer.handle(accepted())
    assert answer.ended
    parts = reading.parts(written)
    errors = [part for part in parts if part.get("error")]
    successes = [part for part in parts if not part.get("error") and reading.is_success(part)]
    assert not any(part.get("done") for part in errors)
    assert len(errors) + len(successes) + (refused is not None) == 1
    terminal = first_terminal(events)
    if not isinstance(terminal, TaskFinished) or terminal.finish_reason == "cancelled":
        assert successes == []
    if refused is not None:
        assert written == b""
    else:
        assert parts[-1] == (errors or successes)[0]


@given(st.lists(st.text(max_size=8), max_size=8), st.text(max_size=4), st.sampled_from(READINGS[:-1]))
def test_the_text_arrives_as_it_was(texts: list[str], held_back: str, reading: Reading) -> None:
    answer = StreamAnswer(reading.surface.stream_writer(IDENTITY), "req-1")
    events = [accepted(), *map(token, texts), finished(len(texts), held_back)]
    written = b"".join(answer.handle(event) for event in events) + answer.keep_alive()
    assert "".join(map(reading.text, (part for part in reading.parts(written) if part.get("type") != "ping"))) == (
        "".join(texts) + held_back
    )
