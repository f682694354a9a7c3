"""Asking a running daemon, over the same HTTP that everybody else uses."""

from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
import msgspec

from diagnostics.incident import Incident
from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode
from supervisor.settings import Settings
from supervisor.state_directory import StateDirectory
from transports.http.gateway import ClusterView, IncidentsView
from transports.http.request_view import CancelledView, RequestsView, RequestView

ANSWER_TIMEOUT_S = 10.0


class NoDaemon(CommandError):
    """Nobody answers at the address, or no address is known."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "Start one with: ringwarden up", ExitCode.UNAVAILABLE)


def daemon_url(url: str | None, settings: Settings) -> str:
    """Return the address to ask: the one given, else the one that the daemon of the state directory wrote down.

    Raises:
        NoDaemon: None is given, and none is written down.
        CommandError: The one given is no URL of a daemon.
    """
    if url is not None:
        return _checked(url).rstrip("/")
    record = StateDirectory(settings.state_dir).read_daemon()
    if record is None:
        raise NoDaemon(f"no daemon runs from {settings.state_dir}")
    return record.url.rstrip("/")


def _checked(url: str) -> str:
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as problem:
        raise _no_url(url) from problem
    if parts.scheme not in ("http", "https") or not parts.host:
        raise _no_url(url)
    return url


def _no_url(url: str) -> CommandError:
    return CommandError(f"--url {url} is no URL", "Write it as http://127.0.0.1:52415", ExitCode.USAGE)


class DaemonClient:
    """A few questions to one daemon. Use it in a `with` block. Every call blocks, for a bounded time.

    Args:
        url: Where the daemon listens.
        api_key: Sent as a bearer token when not None.
        timeout_s: For each step of one exchange.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.url = url
        try:
            # A proxy of the environment is for the outside world, not for a daemon of one's own.
            self._http = httpx2.Client(base_url=url, headers=authorization(api_key), timeout=timeout_s, trust_env=False)
        except (httpx2.InvalidURL, ValueError) as problem:
            raise _no_url(url) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def cluster(self) -> ClusterView:
        """Return the group as the daemon sees it now."""
        return self._decoded("/cluster", ClusterView)

    def incidents(self) -> tuple[Incident, ...]:
        """Return the newest incidents, newest first."""
        return self._decoded("/incidents", IncidentsView).incidents

    def incident(self, incident_id: str) -> Incident:
        """Return one incident; the daemon must know it."""
        return self._decoded(f"/incidents/{incident_id}", Incident)

    def requests(self) -> tuple[RequestView, ...]:
        """Return the open requests, oldest first."""
        return self._decoded("/v1/requests", RequestsView).requests

    def cancel(self, request_id: str) -> CancelledView | None:
        """End one open request; None when the daemon knows no such request."""
        path = f"/v1/requests/{quote(request_id, safe='')}"
        answer = self._asked("DELETE", path)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else self._read(path, answer, CancelledView)

    def is_ready(self) -> bool:
        """Return whether a request sent now would be computed; False also when nobody answers yet."""
        try:
            return self._http.get("/health/ready").status_code == HTTPStatus.OK
        except httpx2.TransportError:
            return False

    def _decoded(self, path: str, kind: type[Any]) -> Any:
        return self._read(path, self._asked("GET", path), kind)

    def _asked(self, method: str, path: str) -> httpx2.Response:
        try:
            return self._http.request(method, path)
        except httpx2.ConnectError as problem:
            raise NoDaemon(f"nobody answers at {self.url}") from problem
        except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise CommandError(
                f"{self.url}{path} did not answer properly: {problem or type(problem).__name__}",
                "Look at the daemon's own output.",
                ExitCode.UNAVAILABLE,
            ) from problem

    def _read(self, path: str, answer: httpx2.Response, kind: type[Any]) -> Any:
        if answer.status_code != HTTPStatus.OK:
            raise unusual_answer(self.url, path, answer.status_code)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except ValueError as problem:  # msgspec's errors are ValueErrors too
            raise _misunderstood(self.url, path, str(problem)) from problem


def authorization(api_key: str | None) -> dict[str, str]:
    """Return the header that carries a key, when there is one."""
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def unusual_answer(url: str, path: str, status: int) -> CommandError:
    """Return what to say of an answer that is no success."""
    if status == HTTPStatus.UNAUTHORIZED:
        remedy = "Give --api-key-file FILE, or set RINGWARDEN_API_KEY."
        return CommandError(f"{url} wants an API key", remedy, ExitCode.CONFIG)
    return _misunderstood(url, path, f"HTTP status {status}")


def _misunderstood(url: str, path: str, reason: str) -> CommandError:
    return CommandError(
        f"{url}{path} gave an answer that cannot be understood: {reason}",
        "Is it a ringwarden daemon of the same version?",
        ExitCode.BAD_DATA,
    )
