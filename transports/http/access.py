"""Who may come in: header size, Host, Origin, API key. Pure."""

import hmac
import ipaddress
from collections.abc import Iterator

from starlette.types import Scope

from transports.http.dashboard_endpoint import DASHBOARD_PREFIX
from transports.http.errors import ApiError
from transports.http.limits import HttpLimits, HttpSecurity

# Probes have no key, and learn nothing but up or down; a browser sends none for a page, and this page knows nothing.
_OPEN_PATHS = ("/health/live", "/health/ready", "/")


def check_access(scope: Scope, limits: HttpLimits, security: HttpSecurity) -> None:
    """Check one request before anything else looks at it.

    Raises:
        ApiError: 431, 403 or 401.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    line_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    if line_bytes + sum(len(name) + len(value) + 4 for name, value in headers) > limits.max_head_bytes:
        raise head_too_large(limits)
    _check_host(scope, headers, security)
    path: str = scope["path"]
    if security.api_key is not None and path not in _OPEN_PATHS and not path.startswith(DASHBOARD_PREFIX):
        _check_key(headers, security.api_key)


def head_too_large(limits: HttpLimits) -> ApiError:
    """Return the 431, which the protocol below the application answers with as well."""
    return ApiError(
        431, "headers_too_large", f"The request's headers are longer than {limits.max_head_bytes} bytes. Send fewer."
    )


def _check_host(scope: Scope, headers: list[tuple[bytes, bytes]], security: HttpSecurity) -> None:
    """A web page can make its own name point at this address (DNS rebinding), but the browser still sends that name.

    A page of another origin can also send requests here without reading the answers; browsers then send its Origin.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _is_allowed(hosts[0], scope, security):
        named = ", ".join(repr(host[:200]) for host in hosts) or "missing"
        raise ApiError(
            403,
            "host_not_allowed",
            f"The Host header is {named}; this server answers to loopback names and to the hosts in its settings. "
            "Use http://127.0.0.1 or name the host in --allowed-hosts.",
        )
    for name, value in headers:
        if name == b"origin" and not _is_allowed(value.decode("latin-1").partition("://")[2], scope, security):
            raise ApiError(
                403,
                "origin_not_allowed",
                f"Requests from web pages of {value.decode('latin-1')[:200]!r} are not allowed. "
                "Send the request from a program, or name the host in --allowed-hosts.",
            )


def _is_allowed(host_and_port: str, scope: Scope, security: HttpSecurity) -> bool:
    host = _without_port(host_and_port).lower()
    if host == "localhost" or host in (allowed.lower() for allowed in security.allowed_hosts):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    server: tuple[str, int] | None = scope.get("server")
    return address.is_loopback or (server is not None and host == server[0])


def _without_port(host_and_port: str) -> str:
    if host_and_port.startswith("["):
        return host_and_port[1:].partition("]")[0]
    return host_and_port.partition(":")[0]


def _check_key(headers: list[tuple[bytes, bytes]], api_key: str) -> None:
    if not any(hmac.compare_digest(key, api_key.encode()) for key in _keys(headers)):
        raise ApiError(
            401,
            "invalid_api_key",
            "The API key is missing or wrong. Send `Authorization: Bearer KEY` or `x-api-key: KEY` with this "
            "server's key.",
            headers={"www-authenticate": "Bearer"},
        )


def _keys(headers: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """The keys that a request brings: as OpenAI's clients send it, and as Anthropic's do."""
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip()
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield key.strip()
