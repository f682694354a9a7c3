"""Bad input: each gets a clear error in the one shape, and no runner is asked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import RawClient, Serving, chat_body, serving

ERROR_KEYS = {
    "message",
    "type",
    "param",
    "code",
    "request_id",
    "incident_id",
    "node",
    "rank",
    "cause",
    "retryable",
    "tokens_emitted",
}


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


def _tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


USER = {"role": "user", "content": "hi"}


@pytest.fixture(scope="module")
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture(scope="module")
def server(gateway: ScriptedGateway) -> Iterator[Serving]:
    with serving(gateway, max_body_bytes=1_000_000, body_timeout_s=1.0, head_timeout_s=1.0) as running:
        yield running


@pytest.fixture
def client(server: Serving, gateway: ScriptedGateway) -> Iterator[RawClient]:
    gateway.submissions.clear()
    with RawClient(server.port) as made:
        yield made
    assert gateway.submissions == []


def _error(client: RawClient, status: int) -> dict[str, Any]:
    actual, headers, body = client.whole()
    assert actual == status, body
    assert set(body) == {"error"}
    assert set(body["error"]) == ERROR_KEYS
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == body["error"]["request_id"]
    if body["error"]["retryable"]:
        assert 1 <= int(headers["retry-after"]) <= 30
    else:
        assert headers["x-should-retry"] == "false"
    return body["error"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [USER, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 0.001}, "repetition_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"seed": 2**64}, "seed"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [1]}, "tools[0]"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [_tool(), {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [_tool(name="")]}, "tools[0].function.name"),
        ({"tools": [_tool(parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [_tool(parameters={"big": 10**30})]}, "tools[0]"),
        ({"tools": [_tool()], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
        ({"chat_template_kwargs": {"deep": _nested(40)}}, "chat_template_kwargs"),
    ],
)  # fmt: skip
def test_chat_field(client: RawClient, fields: dict[str, Any], param: str) -> None:
    client.request("POST", "/v1/chat/completions", chat_body(**fields))
    error = _error(client, 400)
    assert error["param"] == param
    assert f"`{param}`" in error["message"]
    assert error["code"] == error["type"] == "invalid_request_error"


def test_a_long_input_is_not_echoed(client: RawClient) -> None:
    client.request("POST", "/v1/chat/completions", chat_body(messages=[{"role": "r" * 100_000, "content": "x"}]))
    assert len(_error(client, 400)["message"]) < 600


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": [1, -2]}, "prompt[1]"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "suffix": "x"}, "suffix"),
        ({"prompt": "a", "logprobs": 6}, "logprobs"),
        ({"prompt": "a", "logprobs": -1}, "logprobs"),
    ],
)
def test_completion_field(client: RawClient, fields: dict[str, Any], param: str) -> None:
    client.request("POST", "/v1/completions", json.dumps({"model": "tiny", **fields}).encode())
    assert _error(client, 400)["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"[]",
        b"5",
        b'{"model":"tiny","messages":[',
        b'{"model":"\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"model":"\\ud800x","messages":[]}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"tiny","tools":[' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_body_that_is_no_request(client: RawClient, path: str, body: bytes) -> None:
    client.request("POST", path, body)
    assert _error(client, 400)["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/chat/completions/", 404, "not_found"),
        ("GET", "/%ff%00", 404, "not_found"),
        ("GET", "/v1/models/gone", 404, "model_not_found"),
        ("GET", "/incidents/gone", 404, "incident_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/cluster", 405, "method_not_allowed"),
    ],
)
def test_route(client: RawClient, method: str, path: str, status: int, code: str) -> None:
    client.request(method, path)
    assert _error(client, status)["code"] == code


def test_405_names_what_is_allowed(client: RawClient) -> None:
    client.request("PUT", "/v1/completions")
    status, headers, _ = client.whole()
    assert (status, headers["allow"]) == (405, "POST")
    assert "access-control-allow-origin" not in headers


def test_declared_length_above_the_cap_is_refused_before_the_body(client: RawClient) -> None:
    client.request("POST", "/v1/chat/completions", b"", {"content-length": "10000000", "expect": "100-continue"})
    assert _error(client, 413)["code"] == "request_too_large"


def test_ten_megabytes(client: RawClient) -> None:
    client.request("POST", "/v1/chat/completions", b" " * 10_000_000)
    assert _error(client, 413)["code"] == "request_too_large"
    client.request("GET", "/health/live")
    assert client.whole()[0] == 200


def test_body_above_the_cap_without_a_length(client: RawClient) -> None:
    client.request("POST", "/v1/chat/completions", b"", {"content-length": "", "transfer-encoding": "chunked"})
    # An empty content-length is not valid HTTP beside transfer-encoding: the parser refuses it.
    assert _error(client, 400)["code"] == "invalid_http"


def test_chunked_body_above_the_cap(client: RawClient) -> None:
    client.send(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(20):
        client.send(b"%x\r\n" % 100_000 + b" " * 100_000 + b"\r\n")
    assert _error(client, 413)["code"] == "request_too_large"


def test_body_that_does_not_arrive(client: RawClient) -> None:
    client.request("POST", "/v1/completions", b"{", {"content-length": "100"})
    assert _error(client, 408)["code"] == "request_timeout"


def test_headers_that_do_not_arrive(client: RawClient) -> None:
    client.send(b"GET /cluster HTTP/1.1\r\nhost: loc")
    assert _error(client, 408)["code"] == "request_timeout"
    assert client.at_end()


def test_a_connection_that_says_nothing_is_closed(client: RawClient) -> None:
    assert client.at_end()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /cluster HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /cluster HTTP/1.1\r\nhost: localhost\r\n" + b"x: a\r\n" * 20_000 + b"\r\n",
        b"GET /cluster?" + b"q" * 70_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /cluster HTTP/1.1\r\nx: " + b"a" * 300_000,
    ],
)
def test_huge_headers(client: RawClient, head: bytes) -> None:
    client.send(head)
    assert _error(client, 431)["code"] == "headers_too_large"


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_bytes_that_are_no_http(client: RawClient, garbage: bytes) -> None:
    client.send(garbage)
    assert _error(client, 400)["code"] == "invalid_http"


def test_an_upgrade_is_ignored(client: RawClient) -> None:
    client.request("GET", "/cluster", headers={"upgrade": "websocket", "connection": "upgrade"})
    assert client.whole()[0] == 200


def test_fields_that_nobody_knows_are_ignored(server: Serving, gateway: ScriptedGateway) -> None:
    ignored = {"user": "u", "metadata": {"a": "b"}, "store": True, "whatever": [1, {"x": None}], "temperature": None}
    with RawClient(server.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(**ignored))
        assert client.whole()[0] == 200
    assert gateway.submissions[-1].sampling.temperature == 1.0
