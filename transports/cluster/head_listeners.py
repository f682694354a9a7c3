"""The two sockets that a head listens on, and who is connected to them."""

import errno
import socket
import time
from collections.abc import Callable

import zmq

from transports.cluster.bus_errors import BusCannotListen
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_sockets import (
    Monitor,
    cut_connection,
    endpoint,
    new_socket,
    peer_address,
    serve_with,
)
from transports.cluster.connections import Connection, Connections
from transports.cluster.keys import KeyPair

_PAIR_TRIES = 64
_PROTOCOL_ERRORS = {
    0x11000001: "its messages are not encrypted for this head's key",
}


class Sender:
    """Who a frame came from. `connection` is None when it closed before the frame was read."""

    def __init__(self, key: str, address: str, connection: Connection | None) -> None:
        self.key = key
        self.address = address
        self.connection = connection


class Listener:
    """A listening socket with its monitor.

    Args:
        context: Where the authenticator already waits.
        kind: `zmq.ROUTER` or `zmq.XPUB`.
        keys: The head's own.
        limits: The bus's limits.
        refused: Told the address and the reason when somebody did not get in.
        closed: Told of each proven connection that closed.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        *,
        keys: KeyPair,
        limits: BusLimits,
        refused: Callable[[str, str], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self.socket = new_socket(context, kind, limits)
        serve_with(self.socket, keys, limits)
        if kind == zmq.ROUTER:
            self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        else:
            # We subscribe for them: else a peer could make us keep any number of subscriptions.
            self.socket.setsockopt(zmq.XPUB_MANUAL, 1)
        self.monitor = Monitor(context, self.socket)
        self.port = 0
        self._refused = refused
        self._failure: str | None = None
        self._handshakes = 0
        self.connections = Connections(limits, self._cut_descriptor, closed, may_be_silent=kind == zmq.XPUB)

    def bind(self, address: str, port: int) -> None:
        """Listen. Raises `zmq.ZMQError`."""
        self.socket.setsockopt(zmq.IPV6, int(":" in address))
        self.socket.bind(endpoint(address, port))
        self.port = int(self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])

    def cut(self, connection: Connection) -> None:
        """Close a connection."""
        self._cut_descriptor(connection.descriptor)

    def close(self) -> None:
        """Stop listening and close every connection."""
        self.monitor.close()
        self.socket.close()

    def sender_of(self, frame: zmq.Frame, routing_id: bytes, now: float) -> Sender:
        """Return whose frame this is."""
        try:
            key, address = str(frame.get("User-Id")), str(frame.get("Peer-Address"))
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:
            # What ZeroMQ says in a peer's name carries nothing of it.
            return Sender("", "?", None)
        return Sender(key, address, self.connections.heard(descriptor, key, routing_id, now))

    def read_monitor(self) -> None:
        """Take what the monitor knows. Raises `zmq.Again` afterwards, as readers do."""
        self.read_all_events()
        raise zmq.Again

    def read_all_events(self) -> None:
        """Take what the monitor knows."""
        for told in self.monitor.drain():
            self._monitored(told.event, told.value)

    def _monitored(self, event: int, value: int) -> None:
        match event:
            case zmq.EVENT_ACCEPTED:
                self.connections.accepted(value, peer_address(value), time.monotonic())
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._failure = _PROTOCOL_ERRORS.get(value, f"it broke the ZeroMQ protocol ({value:#x})")
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL if value == errno.EAGAIN:
                self._failure = "it did not finish the handshake in time"
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                # It hung up, or the authenticator has told about it.
                self._failure = ""
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._handshakes += 1
            case zmq.EVENT_DISCONNECTED:
                self._disconnected(value)
            case zmq.EVENT_ACCEPT_FAILED:
                self._refused("?", f"a connection could not be accepted: errno {value}")
            case _:
                return

    def _disconnected(self, descriptor: int) -> None:
        # The reason of a failed handshake is told without a descriptor, right before the end of its connection.
        failure, self._failure = self._failure, None
        connection = self.connections.closed(descriptor)
        if connection is None or connection.is_proven:
            return
        if connection.cut_because:
            self._refused(connection.address, connection.cut_because)
        elif failure is None and self._handshakes > self.connections.spoken:
            # A node closed it before its first word was read: ZeroMQ does not tell whose handshake it was.
            self._handshakes -= 1
        elif failure is None:
            self._refused(connection.address, "what it sent is not ZeroMQ's protocol, or more than a packet may have")
        elif failure:
            self._refused(connection.address, failure)

    def _cut_descriptor(self, descriptor: int) -> None:
        cut_connection(descriptor, self.port)


def listen_on_neighbours(
    context: zmq.Context[zmq.Socket[bytes]],
    address: str,
    port: int,
    *,
    keys: KeyPair,
    limits: BusLimits,
    refused: Callable[[str, str], None],
    closed: Callable[[Connection], None],
) -> tuple[Listener, Listener]:
    """Return the listener for nodes at `port`, or at any free one for 0, and that for events at the next port.

    Raises:
        BusCannotListen: The address or one of the ports cannot be had.
    """
    numeric = _numeric(address)
    tries = 1 if port else _PAIR_TRIES
    while True:
        nodes = Listener(context, zmq.ROUTER, keys=keys, limits=limits, refused=refused, closed=closed)
        events = Listener(context, zmq.XPUB, keys=keys, limits=limits, refused=refused, closed=_ignore)
        try:
            nodes.bind(numeric, port)
            events.bind(numeric, nodes.port + 1)
        except zmq.ZMQError as exc:
            failed_port = nodes.port + 1 if nodes.port else port
            nodes.close()
            events.close()
            tries -= 1
            if exc.errno != errno.EADDRINUSE or not tries:
                message = f"cannot listen on {address}, port {failed_port}: {exc.strerror}"
                raise BusCannotListen(exc.errno, message) from exc
        else:
            return nodes, events


def _numeric(address: str) -> str:
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise BusCannotListen(exc.errno, f"{address} is no address of this machine: {exc.strerror}") from exc
    return str(found[0][4][0])


def _ignore(_connection: Connection) -> None:
    """Nobody asks who hears events."""
