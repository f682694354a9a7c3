"""Whatever events come in whatever order, a stream has at most one end, and a failure never looks like success."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.scripted_gateway import TASK, accepted, failed, finished, token
from tests.transports.http.serving import sse_events
from transports.http.errors import ApiError
from transports.http.generation import AnswerIdentity
from transports.http.openai.chat import ChatSurface
from transports.http.openai.completions import CompletionSurface
from transports.http.stream_answer import StreamAnswer
from transports.messages import (
    TERMINAL_EVENTS,
    PrefillProgress,
    RejectionCode,
    StopReason,
    TaskEvent,
    TaskFinished,
    TaskQueued,
    TaskRejected,
    TaskStopped,
)

EVENTS = st.one_of(
    st.builds(accepted),
    st.builds(token, st.text(max_size=5)),
    st.builds(PrefillProgress, st.just(TASK), st.integers(0, 9), st.integers(0, 9)),
    st.builds(finished, st.integers(0, 5), st.text(max_size=3), st.sampled_from(["stop", "length", "cancelled"])),
    st.builds(failed, st.integers(0, 5)),
    st.builds(TaskRejected, st.just(TASK), st.sampled_from(list(RejectionCode)), st.just("no")),
    st.builds(TaskStopped, st.just(TASK), st.sampled_from(list(StopReason)), st.just("enough"), st.integers(0, 5)),
    st.builds(TaskQueued, st.just(TASK), st.integers(1, 9), st.integers(1, 9)),
)


def first_terminal(events: list[TaskEvent]) -> TaskEvent | None:
    return next((event for event in events if isinstance(event, TERMINAL_EVENTS)), None)


def test_a_comment_says_what_is_going_on() -> None:
    """While a call of a tool is held back, tokens come and nothing is shown: that is no prompt any more."""
    answer = StreamAnswer(ChatSurface().stream_writer(AnswerIdentity(TASK, "tiny", 0, include_usage=False)), "req-1")
    answer.handle(accepted())
    answer.handle(PrefillProgress(TASK, 9, 9))
    assert answer.keep_alive() == b": prefill 9/9\n\n"
    answer.handle(token(""))
    assert answer.keep_alive() == b": decode 1\n\n"


@given(st.lists(EVENTS, max_size=12), st.booleans(), st.sampled_from([ChatSurface(), CompletionSurface()]))
def test_exactly_one_end(events: list[TaskEvent], include_usage: bool, surface: ChatSurface) -> None:
    writer = surface.stream_writer(AnswerIdentity(TASK, "tiny", 0, include_usage))
    answer = StreamAnswer(writer, "req-1")
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
    terminal = first_terminal(events)
    succeeded = isinstance(terminal, TaskFinished) and terminal.finish_reason != "cancelled"
    data = sse_events(written) if written else []
    errors = [event for event in data if event != "[DONE]" and "error" in json.loads(event)]
    assert answer.ended
    assert data.count("[DONE]") == (1 if succeeded else 0)
    assert len(errors) + (refused is not None) == (0 if succeeded else 1)
    if refused is not None:
        assert written == b""
    elif succeeded:
        assert data[-1] == "[DONE]"
        assert ("usage" in json.loads(data[-2])) is include_usage
    else:
        assert data[-1] == errors[0]


@given(st.lists(st.text(max_size=8), max_size=8), st.text(max_size=4))
def test_the_text_arrives_as_it_was(texts: list[str], held_back: str) -> None:
    answer = StreamAnswer(ChatSurface().stream_writer(AnswerIdentity(TASK, "tiny", 0, False)), "req-1")
    events = [accepted(), *map(token, texts), finished(len(texts), held_back)]
    written = b"".join(answer.handle(event) for event in events)
    chunks = [json.loads(event) for event in sse_events(written)[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "".join(texts) + held_back
    assert all(line == "" or line.startswith("data: ") for line in written.decode().splitlines())
