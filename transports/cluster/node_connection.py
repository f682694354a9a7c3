"""One try of a node to reach its head: two sockets, what the monitor says of them, and sentences for what failed."""

import errno
import os
import socket
from contextlib import suppress
from ipaddress import ip_address

import anyio
import zmq

from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_sockets import Monitor, connect_with, endpoint, new_socket
from transports.cluster.keys import KeyPair

_NOT_TRUSTED = 400
_PROBE_S = 1.0


class NodeConnection:
    """A DEALER to the head and a SUB to its events at the next port; new ones for each try.

    Args:
        context: The node's.
        address: The head's numeric address.
        port: The head's port.
        keys: The node's own.
        head_key: The head's public key in Z85.
        limits: The bus's limits.
        from_address: The numeric address to connect from, None for the system's choice.

    Raises:
        OSError: The sockets cannot be had, or the addresses are none.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        port: int,
        *,
        keys: KeyPair,
        head_key: bytes,
        limits: BusLimits,
        from_address: str | None,
    ) -> None:
        self._where = f"{address} port {port}"
        self.is_connected = False
        self.is_open = False
        sockets: list[zmq.Socket[bytes]] = []
        try:
            for kind in (zmq.DEALER, zmq.SUB):
                sockets.append(new_socket(context, kind, limits))
                connect_with(sockets[-1], keys, head_key, limits)
                sockets[-1].setsockopt(zmq.IPV6, int(":" in address))
            self.dealer, self.subscriber = sockets
            # What cannot be sent at once stays in the link.
            self.dealer.setsockopt(zmq.IMMEDIATE, 1)
            self.dealer.setsockopt(zmq.RECONNECT_IVL, -1)
            self.subscriber.setsockopt(zmq.RECONNECT_IVL, max(1, round(limits.reconnect_s * 1000)))
            self.subscriber.setsockopt(zmq.SUBSCRIBE, b"")
            self.monitor = Monitor(context, self.dealer)
            self.dealer.connect(endpoint(address, port, from_address))
            self.subscriber.connect(endpoint(address, port + 1, from_address))
        except zmq.ZMQError as exc:
            for made in sockets:
                made.close()
            raise OSError(exc.errno, exc.strerror) from exc

    def close(self) -> None:
        """Close both sockets."""
        self.monitor.close()
        self.dealer.close()
        self.subscriber.close()

    def read_monitor(self) -> str | None:
        """Take what happened; return why the connection cannot be used, None while it can, or may still come."""
        problem: str | None = None
        for told in self.monitor.drain():
            match told.event:
                case zmq.EVENT_CONNECTED:
                    self.is_connected = True
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self.is_open = True
                case _:
                    problem = problem or self._problem(told.event, told.value)
        return problem

    def _problem(self, event: int, value: int) -> str | None:
        match event:
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH if value == _NOT_TRUSTED:
                return f"the head at {self._where} refuses this node's key: it is not trusted there"
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                return (
                    f"what answers at {self._where} is no Ringwarden head, or has another key than the one trusted here"
                )
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL if value == errno.EAGAIN:
                return f"{self._where} did not finish the handshake in time"
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                return (
                    f"{self._where} closed the connection during the handshake: the head has another key than the one "
                    "trusted here, or it is no Ringwarden head"
                )
            case zmq.EVENT_DISCONNECTED:
                return f"the head at {self._where} closed the connection"
            case zmq.EVENT_CLOSED:
                return f"no connection to {self._where}"
            case _:
                return None


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the numeric addresses of a host, the preferred first.

    Raises:
        OSError: It has none.
    """
    with suppress(ValueError):
        return [str(ip_address(host))]
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


async def why_no_connection(address: str, port: int, from_address: str | None) -> str:
    """Return why a TCP connection fails, in the system's words: ZeroMQ does not tell. Tries it once more, for 1 s."""
    where = f"{address} port {port}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            if from_address:
                probe.bind((from_address, 0))
            code = probe.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                with anyio.fail_after(_PROBE_S):
                    await anyio.wait_writable(probe)
                code = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except TimeoutError:
            return f"no answer from {where}"
        except OSError as exc:
            code = exc.errno or 0
    return f"no connection to {where}: {os.strerror(code)}" if code else f"no connection to {where}"
