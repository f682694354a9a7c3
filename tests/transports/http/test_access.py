"""Who may come in."""

import pytest

from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import RawClient, chat_body, serving
from transports.http.limits import HttpSecurity

OPEN = HttpSecurity(allowed_hosts=("Studio.local",))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:52415", "localhost", "LocalHost:1", "[::1]:52415", "127.9.9.9", "studio.local:52415"],
)
def test_host_that_is_allowed(host: str) -> None:
    with serving(ScriptedGateway(), security=OPEN) as running, RawClient(running.port) as client:
        client.request("GET", "/cluster", headers={"host": host})
        assert client.whole()[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.1.2.3", "", "localhost.evil", "[::1"])
def test_host_that_is_not(host: str) -> None:
    gateway = ScriptedGateway()
    with serving(gateway, security=OPEN) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(), {"host": host})
        status, _, body = client.whole()
        if host == "[::1":
            assert status == 200  # A bracket that does not close still names loopback only.
        else:
            assert (status, body["error"]["code"]) == (403, "host_not_allowed")
            assert gateway.submissions == []


def test_no_host_at_all() -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.send(b"GET /cluster HTTP/1.0\r\n\r\n")
        assert client.whole()[0] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:3000", 200), ("https://evil.example", 403), ("null", 403), ("http://localhost.evil", 403)],
)
def test_origin(origin: str, status: int) -> None:
    with serving(ScriptedGateway()) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(), {"origin": origin})
        actual, headers, _ = client.whole()
        assert actual == status
        assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer s3cret", 200), ("bearer s3cret", 200), ("Bearer wrong", 401), ("s3cret", 401), ("Basic s3cret", 401),
     ("", 401), ("Bearer ", 401), ("Bearer \xe9", 401)],
)  # fmt: skip
def test_api_key(authorization: str, status: int) -> None:
    security = HttpSecurity(api_key="s3cret")
    assert "s3cret" not in repr(security)
    with serving(ScriptedGateway(), security=security) as running, RawClient(running.port) as client:
        client.request("POST", "/v1/chat/completions", chat_body(), {"authorization": authorization})
        actual, headers, body = client.whole()
        assert actual == status
        if status == 401:
            assert headers["www-authenticate"] == "Bearer"
            assert headers["x-should-retry"] == "false"
            assert body["error"]["code"] == "invalid_api_key"
            assert "s3cret" not in str(body)
        client.request("GET", "/health/ready")
        assert client.whole()[0] == 200
        client.request("GET", "/cluster")
        assert client.whole()[0] == 401
