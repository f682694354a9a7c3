"""A node's part of the pre-flight check: a listener of our own, and a connection to that of another node.

Both sides prove that they know the probe's nonce, and neither proof is the other's echo: a stranger that listens at the
address, or happens to connect, is told apart from the node that was meant. The listener takes a port of its own: a
stray connection to a port of the ring takes the neighbour's place there (measured with MLX 0.25 to 0.32.4).
"""

import asyncio
import errno
import hashlib
import hmac
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from supervisor.ports import bound_socket
from transports.cluster.requests import EdgeProbed, OpenProbe, ProbeEdge, ProbeOpened

_PROOF_BYTES = 32
_BACKLOG = 8
_ACCEPT_AGAIN_S = 0.05


class Probes:
    """Answers a head's requests to listen and to connect. Used from the event loop.

    Listeners close by themselves: after their probe, at their deadline, or when the loop ends.

    Args:
        max_open: Listeners at the same time; more are refused with EMFILE.
        max_open_s: The longest that one waits, and that a connection may take, whatever the head says.
        max_strangers: Connections that one listener hears at the same time; others wait in the backlog.
        stranger_s: How long each of them may take to show its proof.
    """

    def __init__(
        self, *, max_open: int = 128, max_open_s: float = 30.0, max_strangers: int = 4, stranger_s: float = 2.0
    ) -> None:
        self._max_open = max_open
        self._max_open_s = max_open_s
        self._max_strangers = max_strangers
        self._stranger_s = stranger_s
        self._listeners: set[asyncio.Task[None]] = set()

    async def until_closed(self) -> None:
        """Return when no listener is open."""
        if self._listeners:
            await asyncio.wait(self._listeners)

    async def open(self, request: OpenProbe) -> ProbeOpened:
        """Listen for one probe. Answers at once: with the port, or with the errno of what failed."""
        if len(self._listeners) >= self._max_open:
            return ProbeOpened(0, errno.EMFILE)
        try:
            listener = bound_socket(request.address)
            listener.setblocking(False)
            listener.listen(_BACKLOG)
        except OSError as exc:
            return ProbeOpened(0, exc.errno)
        open_s = min(max(0.0, request.open_s), self._max_open_s)
        task = asyncio.get_running_loop().create_task(self._listen(listener, request.nonce, open_s))
        self._listeners.add(task)
        task.add_done_callback(self._listeners.discard)
        return ProbeOpened(listener.getsockname()[1])

    async def probe(self, request: ProbeEdge) -> EdgeProbed:
        """Connect to another node's listener and exchange proofs. Never takes longer than the request allows."""
        timeout_s = min(max(0.0, request.timeout_s), self._max_open_s)
        connected = False
        try:
            with anyio.fail_after(timeout_s):
                async with _connection(request) as connection:
                    connected = True
                    return EdgeProbed(problem=await _exchange_proofs(connection, request.nonce))
        except _NoWay as exc:
            return EdgeProbed(errno=exc.number, problem=str(exc))
        except TimeoutError:
            if connected:
                return EdgeProbed(problem=f"it connected, but nobody answered within {timeout_s:g} s")
            return EdgeProbed(errno=errno.ETIMEDOUT, problem=f"nothing came back within {timeout_s:g} s")
        except OSError as exc:
            return EdgeProbed(errno=exc.errno, problem="it connected, but was cut off" if connected else None)

    async def _listen(self, listener: socket.socket, nonce: str, open_s: float) -> None:
        heard: set[socket.socket] = set()
        places = anyio.Semaphore(self._max_strangers)
        try:
            with anyio.move_on_after(open_s):
                async with anyio.create_task_group() as tasks:

                    async def hear(connection: socket.socket) -> None:
                        if await self._is_expected(connection, nonce):
                            tasks.cancel_scope.cancel()
                        heard.discard(connection)
                        connection.close()
                        places.release()

                    while True:
                        await places.acquire()
                        connection = await _accept(listener)
                        heard.add(connection)
                        tasks.start_soon(hear, connection)
        finally:
            for each in (listener, *heard):
                each.close()

    async def _is_expected(self, connection: socket.socket, nonce: str) -> bool:
        """Hear a caller out; True when the probe is over: it showed its proof and was sent ours."""
        with suppress(OSError), anyio.move_on_after(self._stranger_s):
            shown = await _receive(connection, _PROOF_BYTES)
            if hmac.compare_digest(shown, _proof(nonce, "connects")):
                await asyncio.get_running_loop().sock_sendall(connection, _proof(nonce, "listens"))
                return True
        return False


class _NoWay(Exception):
    """What keeps a probe from leaving this node at all. `number` is an errno, or None."""

    def __init__(self, problem: str, number: int | None) -> None:
        super().__init__(problem)
        self.number = number


@asynccontextmanager
async def _connection(request: ProbeEdge) -> AsyncGenerator[socket.socket]:
    family, place = await _resolve(request.host, request.port)
    try:
        ours = (
            socket.socket(family, socket.SOCK_STREAM)
            if request.from_address is None
            else bound_socket(request.from_address)
        )
    except OSError as exc:
        raise _NoWay(f"it cannot connect from {request.from_address}", exc.errno) from exc
    with ours:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_connect(ours, place)
        yield ours


async def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return the family and the place of an address, or of a name, as MLX would resolve it."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise _NoWay(f"the name {host!r} cannot be resolved ({exc})", None) from exc
    family, _, _, _, place = found[0]
    return family, place


async def _exchange_proofs(connection: socket.socket, nonce: str) -> str | None:
    """Return None when the other side knows the nonce, else what is wrong with it."""
    await asyncio.get_running_loop().sock_sendall(connection, _proof(nonce, "connects"))
    shown = await _receive(connection, _PROOF_BYTES)
    if hmac.compare_digest(shown, _proof(nonce, "listens")):
        return None
    return "somebody else answers there" if shown else "whoever listens there closed the connection"


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        except OSError:
            # A caller that left again, or no descriptor free at the moment: the probe may still come.
            await anyio.sleep(_ACCEPT_AGAIN_S)
            continue
        return connection


async def _receive(connection: socket.socket, count: int) -> bytes:
    """Return `count` bytes, or fewer when the other side ends before."""
    received = b""
    while len(received) < count:
        part = await asyncio.get_running_loop().sock_recv(connection, count - len(received))
        if not part:
            break
        received += part
    return received


def _proof(nonce: str, side: str) -> bytes:
    return hmac.digest(nonce.encode(), f"ringwarden probe {side}".encode(), hashlib.sha256)
