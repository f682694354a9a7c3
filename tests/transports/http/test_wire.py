"""Facts on the wire that no SDK shows: terminators, comments, headers, what happens to the connection."""

import json
import time

import pytest

from tests.transports.http.scripted_gateway import (
    Gate,
    ScriptedGateway,
    accepted,
    answer,
    failed,
    finished,
    play,
    play_then_wait,
    token,
)
from tests.transports.http.serving import RawClient, chat_body, serving, sse_events
from transports.messages import PrefillProgress, RejectionCode, TaskRejected


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_failed_stream_ends_with_one_error_event_and_a_normal_terminator(path: str) -> None:
    gateway = ScriptedGateway(play(accepted(), token("Hel"), token("lo"), failed(2)))
    body = chat_body(stream=True) if "chat" in path else b'{"model":"tiny","prompt":"hi","stream":true}'
    with serving(gateway) as running, RawClient(running.port) as client:
        client.request("POST", path, body)
        status, headers = client.head()
        events = sse_events(client.chunked_body())  # Raises unless the terminator is there.
        last = json.loads(events[-1])
        assert status == 200
        assert headers["content-type"].startswith("text/event-stream")
        assert "connection" not in headers
        assert "[DONE]" not in events
        assert last["choices"][0]["finish_reason"] == "error"
        assert last["choices"][0]["delta" if "chat" in path else "text"] in ({}, "")
        assert last["object"] == ("chat.completion.chunk" if "chat" in path else "text_completion")
        assert last["model"] == "tiny"
        assert last["id"] == json.loads(events[0])["id"]
        assert last["error"]["code"] == "runner_crashed"
        assert last["error"]["tokens_emitted"] == 2
        assert last["error"]["request_id"] == headers["x-request-id"]
        client.request("GET", "/health/live")  # The same connection serves on.
        assert client.whole()[0] == 200


def test_good_stream_ends_with_usage_and_done() -> None:
    with serving(ScriptedGateway(answer("a", "b"))) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True, stream_options={"include_usage": True}))
        client.head()
        events = sse_events(client.chunked_body())
        assert events[-1] == "[DONE]"
        usage = json.loads(events[-2])
        assert usage["choices"] == []
        assert usage["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        assert all(json.loads(event)["usage"] is None for event in events[:-2])


@pytest.mark.parametrize("stream", [False, True])
def test_events_that_stop_without_a_terminal_one_are_a_failure(*, stream: bool) -> None:
    with serving(ScriptedGateway(play(accepted(), token("x")))) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        if stream:
            client.head()
            events = sse_events(client.chunked_body())
            assert json.loads(events[-1])["error"]["code"] == "internal_error"
            assert "[DONE]" not in events
        else:
            status, _, body = client.whole()
            assert status == 500
            assert body["error"]["code"] == "internal_error"
            assert body["error"]["tokens_emitted"] == 1


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_an_exception_of_our_own_is_an_error_too(before: int, *, stream: bool) -> None:
    async def broken(gate: Gate):
        for event in (accepted(), token("x"))[:before]:
            yield event
        raise ZeroDivisionError("a secret path /x/y")

    with serving(ScriptedGateway(broken)) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        if stream and before:
            client.head()
            error = json.loads(sse_events(client.chunked_body())[-1])["error"]
        else:
            status, headers, body = client.whole()
            error = body["error"]
            assert status == 500
            assert headers["x-should-retry"] == "false"
        assert error["code"] == "internal_error"
        assert "secret" not in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_task_that_somebody_else_cancelled_is_not_a_success(*, stream: bool) -> None:
    script = play(accepted(), token("x"), finished(1, reason="cancelled"))
    with serving(ScriptedGateway(script)) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        if stream:
            client.head()
            assert json.loads(sse_events(client.chunked_body())[-1])["error"]["code"] == "service_stopping"
        else:
            status, headers, body = client.whole()
            assert (status, body["error"]["code"]) == (503, "service_stopping")
            assert headers["retry-after"] == "1"


def test_rejection_in_the_middle_of_a_stream() -> None:
    script = play(accepted(), token("x"), TaskRejected("task-1", RejectionCode.TASK_FAILED, "the task failed"))
    with serving(ScriptedGateway(script)) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        error = json.loads(sse_events(client.chunked_body())[-1])["error"]
        assert (error["code"], error["tokens_emitted"]) == ("task_failed", 1)


def test_comments_fill_the_silence_of_a_long_prefill() -> None:
    gateway = ScriptedGateway(
        play_then_wait([accepted(), PrefillProgress("task-1", 812, 3200)], [token("x"), finished(1)])
    )
    with serving(gateway, comment_interval_s=0.1) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        assert b'"role":"assistant"' in client.chunk()
        comments = [client.chunk() for _ in range(3)]
        assert comments == [b": prefill 812/3200\n\n"] * 3
        gateway.gate.open()
        assert sse_events(client.chunked_body())[-1] == "[DONE]"


def test_the_head_is_held_until_the_task_is_accepted() -> None:
    gateway = ScriptedGateway(play_then_wait([], [failed(0)]))
    with serving(gateway, comment_interval_s=0.05) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        assert gateway.submitted.wait(20)
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(20)
        gateway.gate.open()
        status = client.socket.recv(12)
        assert status == b"HTTP/1.1 500"


def test_tokens_that_are_there_are_written_in_one_go() -> None:
    with serving(ScriptedGateway(answer(*"abcdefgh"))) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        first = client.chunk()
        assert len(sse_events(first)) == 11  # role, 8 tokens, finish, [DONE]
        assert client.chunk() == b""


def test_no_line_end_of_any_kind_is_inside_an_event() -> None:
    text = "a\nb\r\x0b\x0c\x1c\x85\u2028\u2029é"
    with serving(ScriptedGateway(answer(text))) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/completions", b'{"model":"tiny","prompt":"hi","stream":true}')
        client.head()
        body = client.chunked_body()
        assert json.loads(sse_events(body)[0])["choices"][0]["text"] == text
        assert all(line == "" or line.startswith("data: ") for line in body.decode().splitlines())


@pytest.mark.parametrize("given", ["abc-1:2.3_X", "a" * 128])
def test_a_sane_request_id_is_kept(given: str) -> None:
    gateway = ScriptedGateway()
    with serving(gateway) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(), {"x-request-id": given})
        assert client.whole()[1]["x-request-id"] == given
        assert gateway.submissions[0].request_id == given


@pytest.mark.parametrize("given", ["a" * 129, "a b", "<x>", ""])
def test_another_request_id_is_replaced(given: str) -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("GET", "/nowhere", headers={"x-request-id": given})
        _, headers, body = client.whole()
        assert headers["x-request-id"].startswith("req-")
        assert body["error"]["request_id"] == headers["x-request-id"]


def test_a_line_end_after_a_request_is_no_request() -> None:
    """Some clients send one; the time for a request's head must not run out on it, and the answer be cut."""
    gateway = ScriptedGateway(play_then_wait([accepted(), token("a")], [token("b"), finished(2)]))
    with (
        serving(gateway, comment_interval_s=0.1, head_timeout_s=0.3) as running,
        RawClient(running.port) as client,
    ):
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        client.send(b"\r\n")
        body, until = b"", time.monotonic() + 0.9
        while time.monotonic() < until:
            body += client.chunk()
        gateway.gate.open()
        assert sse_events(body + client.chunked_body())[-1] == "[DONE]"
        client.request("GET", "/health/live")
        assert client.whole()[0] == 200


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("GET", "/health/live")
        client.request("GET", "/cluster")
        client.request("GET", "/nowhere")
        assert client.whole()[2] == {"status": "live"}
        assert client.whole()[2]["model"] == "tiny"
        assert client.whole()[0] == 404
