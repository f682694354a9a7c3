"""Serves the HTTP surface inside a running event loop, as one part of a larger program."""

import asyncio
import contextlib
from collections.abc import Generator

import anyio
import uvicorn
from starlette.applications import Starlette

from transports.http.guarded_protocol import guarded_protocol
from transports.http.limits import HttpLimits
from transports.http.listening import listen

_LAST_WORDS_S = 2.0


class HttpServer:
    """One listening address and the application behind it.

    The port is taken by the constructor, so that nothing else needs to be started first; clients that connect before
    `serve` wait in the backlog. Make it, then `serve` once; or `close`.

    Args:
        app: What `create_app` returned.
        limits: What one client may cost.
        host: Name or address to listen on.
        port: TCP port; 0 takes a free one.

    Raises:
        PortTaken: Another program listens there.
        CannotListen: The address cannot be used for another reason.
    """

    def __init__(self, app: Starlette, limits: HttpLimits, *, host: str, port: int) -> None:
        self._limits = limits
        self._listener = listen(host, port)
        name = self._listener.getsockname()
        self._address: tuple[str, int] = (name[0], name[1])
        self._server = _EmbeddedServer(_config(app, limits))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are really listened on; still known when serving has ended."""
        return self._address

    @property
    def url(self) -> str:
        """Base URL for clients on this machine."""
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound.
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def serve(self) -> None:
        """Serve until cancelled, then stop.

        Stopping takes no new connections and lets running requests end for `graceful_stop_s`; those that are still
        open then get an error in the documented shape. Returns only by cancellation; needs asyncio.
        """
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            with anyio.move_on_after(self._limits.graceful_stop_s + _LAST_WORDS_S, shield=True):
                await asyncio.wait([serving])
                await self._end_requests()
            serving.cancel()

    def close(self) -> None:
        """Give the port back when `serve` is not going to be called."""
        self._listener.close()

    async def _end_requests(self) -> None:
        """Wait for the requests that the server has just cancelled."""
        if self._server.server_state.tasks:
            await asyncio.wait(self._server.server_state.tasks)


class _EmbeddedServer(uvicorn.Server):
    """Leaves signals to the program that it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(app: Starlette, limits: HttpLimits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=max(1, round(limits.graceful_stop_s)),
    )
