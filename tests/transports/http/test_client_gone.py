"""A client that goes away cancels its task, wherever the task is."""

import contextlib
import socket
import struct
import time

import pytest

from tests.transports.http.scripted_gateway import (
    DEADLINE_S,
    Gate,
    ScriptedGateway,
    Submission,
    accepted,
    finished,
    play,
    play_then_wait,
    token,
)
from tests.transports.http.serving import RawClient, chat_body, serving


def _was_cancelled(submission: Submission) -> bool:
    assert submission.left.wait(DEADLINE_S), "the submit context was never left"
    return submission.cancelled


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_in_the_middle_of_an_answer(*, stream: bool, reset: bool) -> None:
    gateway = ScriptedGateway(play_then_wait([accepted(), token("x")]))
    with serving(gateway) as running:
        client = RawClient(running.port)
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        assert gateway.submitted.wait(DEADLINE_S)
        if stream:
            client.head()
            client.chunk()
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert _was_cancelled(gateway.submissions[0])


@pytest.mark.parametrize("stream", [False, True])
def test_while_a_restart_is_waited_for(*, stream: bool) -> None:
    gateway = ScriptedGateway()
    gateway.enter_gate = Gate()
    with serving(gateway) as running:
        with RawClient(running.port) as client:
            client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
            assert gateway.submitted.wait(DEADLINE_S)
            assert gateway.submissions[0].entered.wait(DEADLINE_S)
        assert _was_cancelled(gateway.submissions[0])
        gateway.enter_gate.open()


def test_before_its_body_is_complete() -> None:
    gateway = ScriptedGateway()
    with serving(gateway) as running:
        with RawClient(running.port) as client:
            client.request("POST", "/v1/chat/completions", b'{"model"', {"content-length": "1000"})
        with RawClient(running.port) as other:
            other.request("GET", "/health/live")
            assert other.whole()[0] == 200
    assert gateway.submissions == []


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def endless(gate: Gate):
        yield accepted()
        while True:
            yield token("x" * 10_000)

    gateway = ScriptedGateway(endless)
    with serving(gateway, comment_interval_s=0.1, write_timeout_s=0.3) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        assert _was_cancelled(gateway.submissions[0])
        with pytest.raises((ConnectionResetError, AssertionError, ValueError)):  # Cut: never a terminator.
            client.chunked_body()


def test_a_client_that_does_not_read_the_end_is_given_up_too() -> None:
    """What it has not taken is thrown away: nothing is kept for a connection that nobody reads."""
    text = "x" * 24_000_000
    gateway = ScriptedGateway(play_then_wait([accepted(), token(text)], [finished(1)]))
    with serving(gateway, comment_interval_s=10.0, write_timeout_s=0.3) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        gateway.gate.open()
        assert gateway.submissions[0].left.wait(DEADLINE_S), "the submit context was never left"
        with RawClient(running.port) as other:
            other.request("GET", "/health/live")
            assert other.whole()[0] == 200
        assert _received_bytes(client) < len(text)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_complete_is_not_kept_for_a_client_that_does_not_read(*, stream: bool) -> None:
    text = "x" * 24_000_000
    gateway = ScriptedGateway(play(accepted(), token(text), finished(1)))
    limits = {"write_timeout_s": 0.3, "max_answer_bytes": 10 * len(text)}
    with serving(gateway, **limits) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        client.head()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            with RawClient(running.port) as other:
                other.request("GET", "/health/live")
                assert other.whole()[0] == 200
        assert _received_bytes(client) < len(text)


def _received_bytes(client: RawClient) -> int:
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while data := client.socket.recv(1 << 20):
            received += len(data)
    return received


def test_after_the_answer_nothing_is_cancelled() -> None:
    gateway = ScriptedGateway()
    with serving(gateway) as running:
        with RawClient(running.port) as client:
            client.request("POST", "/v1/chat/completions", chat_body(stream=True))
            client.head()
            client.chunked_body()
        assert not _was_cancelled(gateway.submissions[0])
