"""The open requests over HTTP: listed, shown, cancelled; their time, and their place in the line, in every API."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import anthropic
import msgspec
import openai
import pytest

from tests.transports.http.scripted_gateway import TASK, ScriptedGateway, accepted, answer, finished, play, token
from tests.transports.http.serving import RawClient, Serving, chat_body, serving
from transports.http.request_view import RequestState, RequestView
from transports.messages import StopReason, TaskEvent, TaskQueued, TaskStopped

QUEUED = RequestView("req-1", "tiny", RequestState.QUEUED, 1.5, 0, position=3, waiting=17, metadata={"user": "ann"})
DECODING = RequestView("task-2", "tiny", RequestState.DECODE, 2.5, 40)

GATEWAY = ScriptedGateway()
GATEWAY.open_requests = (QUEUED, DECODING)


def stopped(tokens: int, reason: StopReason = StopReason.REQUEST_CANCELLED) -> TaskStopped:
    return TaskStopped(TASK, reason, "It was stopped.", tokens)


class Response(NamedTuple):
    """A response with a length."""

    status: int
    headers: dict[str, str]
    body: Any


def told(running: Serving, method: str, path: str, body: bytes = b"", timeout: str | None = None) -> Response:
    """One response of a running server."""
    with RawClient(running.port) as client:
        client.request(method, path, body, {} if timeout is None else {"x-request-timeout-s": timeout})
        return Response(*client.whole())


@pytest.fixture(scope="module")
def running() -> Iterator[Serving]:
    with serving(GATEWAY) as server:
        yield server


@pytest.fixture
def server(running: Serving) -> Serving:
    """The server of all these tests, with nothing of the last one."""
    GATEWAY.submissions.clear()
    GATEWAY.open_requests = (QUEUED, DECODING)
    GATEWAY.script = answer("a")
    return running


def test_the_open_requests_are_listed_and_shown(server: Serving) -> None:
    status, headers, body = told(server, "GET", "/v1/requests")
    assert (status, [one["id"] for one in body["requests"]]) == (200, ["req-1", "task-2"])
    assert headers["x-request-id"]
    first = body["requests"][0]
    assert (first["state"], first["position"], first["waiting"], first["metadata"]) == (
        "queued",
        3,
        17,
        {"user": "ann"},
    )
    assert told(server, "GET", "/v1/requests/req-1").body == first


def test_an_answers_id_is_as_good_as_its_requests(server: Serving) -> None:
    for written in ("task-2", "chatcmpl-task-2", "cmpl-task-2", "resp_task-2", "msg_task-2"):
        assert told(server, "GET", f"/v1/requests/{written}").body["id"] == "task-2"
        status, _, body = told(server, "DELETE", f"/v1/requests/{written}")
        assert (status, body) == (200, {"id": "task-2", "cancelled": True, "tokens_emitted": 3})


def test_an_id_that_could_mean_two_requests_ends_neither(server: Serving) -> None:
    """A client may choose what looks like the id of another one's answer."""
    misleading = msgspec.structs.replace(DECODING, id="chatcmpl-req-1")
    GATEWAY.open_requests = (QUEUED, misleading)
    for method in ("GET", "DELETE"):
        status, _, body = told(server, method, "/v1/requests/chatcmpl-req-1")
        assert (status, body["error"]["param"]) == (400, "id")
        assert "'req-1'" in body["error"]["message"]
        assert told(server, method, "/v1/requests/req-1").body["id"] == "req-1"
        assert told(server, method, "/v1/requests/chatcmpl-chatcmpl-req-1").body["id"] == "chatcmpl-req-1"


def test_an_id_that_is_not_open(server: Serving) -> None:
    for method in ("GET", "DELETE"):
        for written in ("unknown", "chatcmpl-unknown", "chatcmpl-", "x" * 3000):
            status, headers, body = told(server, method, f"/v1/requests/{written}")
            assert (status, body["error"]["code"]) == (404, "request_not_found")
            assert headers["x-should-retry"] == "false"
            assert len(body["error"]["message"]) < 500


def test_a_method_that_requests_do_not_have(server: Serving) -> None:
    status, headers, body = told(server, "PATCH", "/v1/requests/req-1")
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")
    assert {"GET", "DELETE"} <= {method.strip() for method in headers["allow"].split(",")}


def test_a_stored_response_cannot_be_cancelled_because_there_is_none(server: Serving) -> None:
    status, headers, body = told(server, "POST", "/v1/responses/resp_1/cancel")
    assert (status, body["error"]["param"], headers["x-should-retry"]) == (400, "response_id", "false")
    assert "/v1/requests/" in body["error"]["message"]


def test_the_time_that_a_client_allows(server: Serving) -> None:
    for value in ("30", "2.5", "86400"):
        assert told(server, "POST", "/v1/chat/completions", chat_body(), timeout=value).status == 200
    assert [submission.timeout_s for submission in GATEWAY.submissions] == [30.0, 2.5, 86_400.0]


def test_a_time_that_is_none(server: Serving) -> None:
    for value in ("0", "0.0", "-1", "soon", "", "nan", "inf", "1e3", "86401", "99999999", "5 s", "\xb2"):
        status, _, body = told(server, "POST", "/v1/chat/completions", chat_body(), timeout=value)
        assert (status, body["error"]["param"]) == (400, "x-request-timeout-s")
        assert "86400" in body["error"]["message"]
    assert GATEWAY.submissions == []


def test_the_clients_raise_and_never_ask_again(server: Serving) -> None:
    GATEWAY.script = play(stopped(0))
    with (
        pytest.raises(openai.APIStatusError) as by_openai,
        openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=3) as client,
    ):
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "hi"}])
    with (
        pytest.raises(anthropic.APIStatusError) as by_anthropic,
        anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=3) as client,
    ):
        client.messages.create(model="tiny", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
    assert (by_openai.value.status_code, by_anthropic.value.status_code) == (499, 499)
    assert len(GATEWAY.submissions) == 2


@pytest.mark.parametrize(
    ("reason", "status"), [(StopReason.REQUEST_CANCELLED, 499), (StopReason.DEADLINE_EXCEEDED, 504)]
)
@pytest.mark.parametrize("events", [(), (accepted(), token("x"))])
def test_a_stopped_request_is_a_status_of_its_own(
    server: Serving, reason: StopReason, status: int, events: tuple[TaskEvent, ...]
) -> None:
    tokens = len(events) // 2
    GATEWAY.script = play(*events, stopped(tokens, reason))
    got, headers, body = told(server, "POST", "/v1/chat/completions", chat_body())
    error = body["error"]
    assert (got, error["code"], error["retryable"], error["tokens_emitted"]) == (status, reason.value, False, tokens)
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


STREAMS = {
    "/v1/chat/completions": chat_body(stream=True),
    "/v1/completions": json.dumps({"model": "tiny", "prompt": "hi", "stream": True}).encode(),
    "/v1/responses": json.dumps({"model": "tiny", "input": "hi", "stream": True}).encode(),
    "/v1/messages": json.dumps(
        {"model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    ).encode(),
    "/api/chat": json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}).encode(),
}


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_tells_its_place_and_a_stop_is_never_its_good_end(server: Serving, path: str) -> None:
    GATEWAY.script = play(accepted(), TaskQueued(TASK, 3, 17), token("x"), stopped(1))
    with RawClient(server.port) as client:
        client.request("POST", path, STREAMS[path])
        assert client.head()[0] == 200
        body = client.chunked_body().decode()
    assert path.startswith("/api/") or ": queued 3/17\n" in body
    assert "request_cancelled" in body
    for end in ("[DONE]", "message_stop", "response.completed", '"done":true', '"finish_reason":"stop"'):
        assert end not in body


@pytest.mark.parametrize("path", STREAMS)
def test_a_place_that_is_told_before_the_acceptance_does_not_open_the_answer(server: Serving, path: str) -> None:
    GATEWAY.script = play(TaskQueued(TASK, 1, 1), stopped(0, StopReason.DEADLINE_EXCEEDED))
    assert told(server, "POST", path, STREAMS[path]).status == 504


def test_a_place_costs_an_answer_that_is_not_streamed_nothing(server: Serving) -> None:
    GATEWAY.script = play(accepted(), TaskQueued(TASK, 1, 1), token("a"), finished(1))
    status, _, body = told(server, "POST", "/v1/chat/completions", chat_body())
    assert (status, body["choices"][0]["message"]["content"]) == (200, "a")
