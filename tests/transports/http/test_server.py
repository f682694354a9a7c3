"""Taking the port, and stopping."""

import json
import signal
import socket

import anyio
import anyio.to_thread
import pytest

from tests.transports.http.scripted_gateway import (
    DEADLINE_S,
    Gate,
    ScriptedGateway,
    accepted,
    finished,
    play_then_wait,
    token,
)
from tests.transports.http.serving import RawClient, chat_body, serving, sse_events
from transports.http.app import create_app
from transports.http.limits import HttpLimits
from transports.http.listening import CannotListen, PortTaken, listen
from transports.http.server import HttpServer


@pytest.mark.parametrize("taken_host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_an_error_with_a_remedy(taken_host: str, host: str) -> None:
    with socket.create_server((taken_host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on {host} is taken .* --port"):
            listen(host, port)


@pytest.mark.parametrize(
    ("host", "port"), [("no-such-host.invalid", 80), ("192.0.2.1", 0), ("127.0.0.1", 70_000), ("a" * 300, 1)]
)
def test_an_address_that_cannot_be_used(host: str, port: int) -> None:
    with pytest.raises(CannotListen) as caught:
        listen(host, port)
    assert not isinstance(caught.value, PortTaken)
    assert "Use" in str(caught.value) or "Choose" in str(caught.value)


def test_a_port_can_be_taken_again_at_once() -> None:
    with serving(ScriptedGateway()) as running:
        with RawClient(running.port) as client:
            client.request("GET", "/health/live", headers={"connection": "close"})
            assert client.whole()[0] == 200
            assert client.at_end()  # The server closed first: its side is in TIME_WAIT.
        port = running.port
    listen("127.0.0.1", port).close()


async def test_it_is_a_part_of_a_task_group() -> None:
    limits = HttpLimits()
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    gateway = ScriptedGateway()
    app = create_app(gateway, limits, live=gateway.live, metrics=gateway.metrics)
    server = HttpServer(app, limits, host="127.0.0.1", port=0)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        status = await anyio.to_thread.run_sync(_live_status, server.address[1])
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        group.cancel_scope.cancel()
    assert status == 200
    with pytest.raises(ConnectionRefusedError):
        RawClient(server.address[1])


def _live_status(port: int) -> int:
    with RawClient(port) as client:
        client.request("GET", "/health/live")
        return client.whole()[0]


def test_stopping_lets_a_running_stream_end() -> None:
    gateway = ScriptedGateway(play_then_wait([accepted(), token("a")], [token("b"), finished(2)]))
    with serving(gateway, graceful_stop_s=15.0) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        client.chunk()
        running.begin_stop()
        with pytest.raises(OSError):  # Refused, or reset from the backlog.
            while True:
                with RawClient(running.port) as late:
                    late.socket.settimeout(0.2)
                    late.socket.recv(1)
        gateway.gate.open()
        assert sse_events(client.chunked_body())[-1] == "[DONE]"
        running.join()


def test_stopping_ends_what_takes_too_long_with_an_error() -> None:
    gateway = ScriptedGateway(play_then_wait([accepted(), token("a")]))
    with serving(gateway) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=True))
        client.head()
        client.chunk()
        running.begin_stop()
        error = json.loads(sse_events(client.chunked_body())[-1])["error"]
        assert error["code"] == "service_stopping"
        assert error["tokens_emitted"] == 1
        running.join()
        assert gateway.submissions[0].left.wait(DEADLINE_S)
        assert gateway.submissions[0].cancelled


@pytest.mark.parametrize("stream", [False, True])
def test_stopping_answers_requests_whose_head_is_held(*, stream: bool) -> None:
    gateway = ScriptedGateway()
    gateway.enter_gate = Gate()
    with serving(gateway) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(stream=stream))
        assert gateway.submitted.wait(DEADLINE_S)
        running.begin_stop()
        status, headers, body = client.whole()
        assert (status, body["error"]["code"]) == (503, "service_stopping")
        assert headers["retry-after"] == "1"
        gateway.enter_gate.open()
        running.join()
