"""Bad requests by the thousand: what no client should send, from almost right to noise. One seed, one sequence."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_CHAT: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a verdict?"}],
    "max_tokens": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["\n"],
    "seed": 1,
    "stream": False,
    "logit_bias": {"5": 1},
    "metadata": {"who": "fuzz"},
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}],
}
_TEMPLATES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", _CHAT),
    ("/v1/chat/completions", {**_CHAT, "stream": True, "stream_options": {"include_usage": True}}),
    ("/v1/completions", {"model": "tiny", "prompt": "A ring", "max_tokens": 2, "temperature": 0, "stream": False}),
    ("/v1/responses", {"model": "tiny", "input": [{"role": "user", "content": "A ring"}], "max_output_tokens": 2}),
    (
        "/v1/messages",
        {"model": "tiny", "max_tokens": 2, "messages": [{"role": "user", "content": [{"type": "text", "text": "A"}]}]},
    ),
    ("/v1/messages/count_tokens", {"model": "tiny", "messages": [{"role": "user", "content": "A ring"}]}),
    (
        "/api/chat",
        {"model": "tiny", "messages": [{"role": "user", "content": "A ring"}], "options": {"num_predict": 2}},
    ),
    ("/api/generate", {"model": "tiny", "prompt": "A ring", "options": {"num_predict": 2, "top_k": 3}}),
    ("/api/show", {"model": "tiny"}),
)
_PATHS = (
    "/", "/v1", "/v1/", "/v1/models", "/v1/models/tiny", "/v1/models/%00", "/v1/models/../../etc/passwd", "/cluster",
    "/incidents", "/incidents/inc-0", "/incidents/%ff%fe", "/health/live", "/health/ready", "/metrics", "/v1/requests",
    "/v1/requests/none", "/api/tags", "/api/ps", "/api/version", "/api/", "/nothing", "/v1/embeddings", "/events/x",
    "//", "/v1//models", "/static/../settings", "/%2e%2e/%2e%2e/x", "/?a=b&a=%zz", "/v1/models?" + "x" * 4000,
)  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")
_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, -1e308, 1e-320, 0.1, "", " ", "\x00", "tiny",
    "\ud800", "é" * 50, "💥", "A" * 5000, "../../etc/passwd", "<script>", "%s%n", [], [[]], [None], {}, {"": ""},
    {"type": "text"}, {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x"}}, [{"role": "user"}],
    {"role": "tool", "content": None, "tool_call_id": 5}, "\n" * 100, list(range(500)), {"a": {"b": {"c": {}}}},
)  # fmt: skip
_FURTHER_FIELDS = ("n", "echo", "tools", "format", "thinking", "logprobs", "response_format", "x")
_RAW_VALUES = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"01",
    b"'x'",
    b"{,}",
    b"[1,]",
    b'"\\ud800"',
    b"9" * 5000,
    b"",
)


class BadRequest(NamedTuple):
    """One request as bytes, and where it goes; `is_http` is False when the bytes are no request at all."""

    data: bytes
    path: str
    method: str
    is_http: bool = True


def bad_requests(count: int, seed: int) -> Iterator[BadRequest]:
    """Yield requests, each of a kind chosen at random."""
    chance = random.Random(seed)
    kinds: tuple[Callable[[random.Random], BadRequest], ...] = (
        _strange_values, _strange_values, _strange_values, _strange_values, _strange_text, _damaged_json, _noise_body,
        _deep, _wrong_method, _strange_headers, _strange_path, _no_http,
    )  # fmt: skip
    for _ in range(count):
        yield chance.choice(kinds)(chance)


def _request(path: str, body: bytes, *headers: bytes, method: str = "POST") -> BadRequest:
    """A well-formed HTTP request; a header given here replaces the usual one of its name."""
    usual = {
        b"host": b"Host: 127.0.0.1",
        b"content-type": b"Content-Type: application/json",
        b"content-length": b"Content-Length: %d" % len(body),
        b"connection": b"Connection: close",
    }
    for header in headers:
        usual[header.partition(b":")[0].lower()] = header
    head = b"\r\n".join([f"{method} {path} HTTP/1.1".encode("latin-1"), *usual.values()])
    return BadRequest(head + b"\r\n\r\n" + body, path, method)


def _changed(chance: random.Random, value: Any, depth: int) -> Any:
    """The value with one place in it changed: replaced, removed, doubled, or a key added."""
    if depth > 0 and isinstance(value, dict) and value:
        fields = dict(value)
        key = chance.choice(list(fields))
        match chance.randrange(6):
            case 0:
                del fields[key]
            case 1:
                fields[chance.choice(("n", "echo", "tools", "format", "thinking", "logprobs", "x"))] = chance.choice(
                    _STRANGE
                )
            case 2:
                fields[key] = chance.choice(_STRANGE)
            case _:
                fields[key] = _changed(chance, fields[key], depth - 1)
        return fields
    if depth > 0 and isinstance(value, list) and value:
        items = list(value)
        place = chance.randrange(len(items))
        items[place] = _changed(chance, items[place], depth - 1)
        return items if chance.random() < 0.8 else items * 2
    return chance.choice(_STRANGE)


def _strange_values(chance: random.Random) -> BadRequest:
    path, body = chance.choice(_TEMPLATES)
    for _ in range(chance.randint(1, 3)):
        body = _changed(chance, body, 5)
        if not isinstance(body, dict):
            break
    return _request(path, json.dumps(body).encode())


def _strange_text(chance: random.Random) -> BadRequest:
    """Any characters there are where people write."""
    text = "".join(chr(chance.choice((chance.randrange(0x80), chance.randrange(0x110000)))) for _ in range(50))
    path, body = chance.choice(_TEMPLATES[:3])
    place = "prompt" if "prompt" in body else "messages"
    body = {**body, place: text if place == "prompt" else [{"role": "user", "content": text}]}
    return _request(path, json.dumps(body, ensure_ascii=True).encode())


def _damaged_json(chance: random.Random) -> BadRequest:
    path, body = chance.choice(_TEMPLATES)
    data = json.dumps(body).encode()
    place = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            data = data[:place]
        case 1:
            data = data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
        case 2:
            data = data[:place] + chance.choice(_RAW_VALUES) + data[place:]
        case _:
            data = data + data[place:]
    return _request(path, data)


def _noise_body(chance: random.Random) -> BadRequest:
    return _request(chance.choice(_TEMPLATES)[0], chance.randbytes(chance.choice((0, 1, 10, 3000))))


def _deep(chance: random.Random) -> BadRequest:
    depth = chance.choice((100, 1_000, 20_000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nest = opening * depth + b"1" + closing * depth
    path, _ = chance.choice(_TEMPLATES)
    field = chance.choice((b"messages", b"tools", b"metadata", b"input", b"unknown"))
    return _request(path, b'{"model":"tiny","max_tokens":1,"' + field + b'":' + nest + b"}")


def _wrong_method(chance: random.Random) -> BadRequest:
    path = chance.choice([*(path for path, _ in _TEMPLATES), *_PATHS])
    method = chance.choice(_METHODS)
    return _request(path, b"" if method in ("GET", "HEAD", "TRACE") else b"{}", method=method)


def _strange_path(chance: random.Random) -> BadRequest:
    path = chance.choice(_PATHS)
    if chance.random() < 0.5:
        path += "".join(chance.choice("/%.abc0?&=;#~\\'\"<>") for _ in range(chance.randrange(20)))
    return _request(path, b"", method=chance.choice(("GET", "GET", "POST", "DELETE")))


def _strange_headers(chance: random.Random) -> BadRequest:
    path, body = chance.choice(_TEMPLATES)
    data = json.dumps(body).encode()
    header = chance.choice(
        (
            b"Content-Type: text/plain", b"Content-Type: application/xml", b"Content-Type: application/json; charset=x",
            b"Host: evil.example", b"Host:", b"Origin: http://evil.example", b"Content-Encoding: gzip",
            b"Expect: 100-continue",
            b"Authorization: Basic x", b"Authorization: Bearer " + b"k" * 3000, b"X-Request-Id: " + b"i" * 3000,
            b"X-Request-Id: \xff\xfe\x01", b"X-Request-Timeout-S: -1", b"X-Request-Timeout-S: nan",
            b"Accept: image/png",
            b"Content-Length: 0", b"X-Big: " + b"x" * 70_000, b"Traceparent: 00-zz-zz-00", b"Cookie: " + b"a=b;" * 500,
            b"Upgrade: websocket", b"Transfer-Encoding: identity", b"Last-Event-Id: x",
        )
    )  # fmt: skip
    return _request(path, data, header)


def _no_http(chance: random.Random) -> BadRequest:
    data = chance.choice(
        (
            b"BREW /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n\r\n\r\n", b"POST /v1/messages HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n{}",
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            chance.randbytes(200), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"A" * 5000 + b"\r\n\r\n",
        )
    )  # fmt: skip
    return BadRequest(data, "", "", is_http=False)
