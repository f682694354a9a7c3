"""What the bus needs of ZeroMQ: sockets with limits, their monitors, reading without threads, cutting a connection."""

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from itertools import count

import msgspec
import zmq
from zmq.utils.monitor import parse_monitor_message

from transports.cluster.bus_limits import BusLimits
from transports.cluster.keys import KeyPair

ZAP_DOMAIN = b"ringwarden"
_READ_IN_ONE_TURN = 64
_MONITORED = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_monitor_numbers = count()


def new_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, limits: BusLimits) -> zmq.Socket[bytes]:
    """Return a socket that holds nothing back when it is closed, and never waits without end."""
    made = context.socket(kind)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.SNDHWM, limits.max_queued_packets)
    made.setsockopt(zmq.RCVHWM, limits.max_queued_packets)
    made.setsockopt(zmq.HANDSHAKE_IVL, _milliseconds(limits.handshake_s))
    # Not ZeroMQ's own heartbeats: libzmq 4.3.5 aborts (`!_io_error`, stream_engine_base.cpp) when their timer finds a
    # connection that ended while its queue was full.
    made.setsockopt(zmq.TCP_KEEPALIVE, 1)
    made.setsockopt(zmq.TCP_KEEPALIVE_IDLE, max(1, round(limits.node_silence_s)))
    made.setsockopt(zmq.TCP_KEEPALIVE_INTVL, max(1, round(limits.node_silence_s)))
    made.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    made.setsockopt(zmq.TCP_MAXRT, _milliseconds(limits.node_silence_s * 4))
    return made


def serve_with(made: zmq.Socket[bytes], keys: KeyPair, limits: BusLimits) -> None:
    """Make it the CURVE server of a head; whom it lets in is the authenticator's matter."""
    made.setsockopt(zmq.CURVE_SERVER, 1)
    made.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    made.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    made.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    made.setsockopt(zmq.MAXMSGSIZE, limits.max_packet_bytes)
    # A restarted head meets its whole cluster at once; whom the queue does not take waits a second or three.
    made.setsockopt(zmq.BACKLOG, limits.max_unproven_connections)


def connect_with(made: zmq.Socket[bytes], keys: KeyPair, head_key: bytes, limits: BusLimits) -> None:
    """Make it a node's end, which talks to the head of that key and to nobody else."""
    made.setsockopt(zmq.CURVE_SERVERKEY, head_key)
    made.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    made.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    made.setsockopt(zmq.MAXMSGSIZE, limits.max_message_bytes + limits.max_packet_bytes)
    made.setsockopt(zmq.CONNECT_TIMEOUT, _milliseconds(limits.handshake_s))


def endpoint(host: str, port: int, from_address: str | None = None) -> str:
    """Return the ZeroMQ spelling of a numeric address and port, optionally with the address to connect from."""
    target = f"{_bracketed(host)}:{port}"
    return f"tcp://{_bracketed(from_address)}:0;{target}" if from_address else f"tcp://{target}"


class MonitorEvent(msgspec.Struct, frozen=True):
    """What happened to a connection. `value` is a descriptor, a status or an errno, by the kind of event."""

    event: int
    value: int


class Monitor:
    """Tells what happens to a socket's connections."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        address = f"inproc://monitor-{next(_monitor_numbers)}"
        self.socket = context.socket(zmq.PAIR)
        watched.monitor(address, _MONITORED)
        self.socket.setsockopt(zmq.LINGER, 0)
        # With a limit, ZeroMQ's I/O thread would wait for us to read, and we for it when the socket is closed.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.connect(address)

    def drain(self) -> list[MonitorEvent]:
        """Return what is known by now. Never blocks."""
        events: list[MonitorEvent] = []
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return events
            parsed = parse_monitor_message(frames)
            events.append(MonitorEvent(int(parsed["event"]), int(parsed["value"])))

    def close(self) -> None:
        """Stop watching."""
        self._watched.disable_monitor()
        self.socket.close()


class SocketReader:
    """Reads one socket in the event loop, a bounded part in each turn.

    A ZeroMQ descriptor is edge-triggered: sending may swallow the edge, so whoever sends calls `nudge`.

    Args:
        source: The socket. It stays the caller's.
        read: Reads once without blocking; raises `zmq.Again` when there is nothing.
    """

    def __init__(self, source: zmq.Socket[bytes], read: Callable[[], object]) -> None:
        self._descriptor = int(source.getsockopt(zmq.FD))
        self._read = read
        self._ready = asyncio.Event()

    def nudge(self) -> None:
        """Look again in the next turn."""
        self._ready.set()

    async def run(self) -> None:
        """Read until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, self._ready.set)
        self._ready.set()
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                if not self._is_drained():
                    self._ready.set()
                    await asyncio.sleep(0)
        finally:
            loop.remove_reader(self._descriptor)

    def _is_drained(self) -> bool:
        for _ in range(_READ_IN_ONE_TURN):
            try:
                self._read()
            except zmq.Again:
                return True
        return False


def cut_connection(descriptor: int, port: int) -> None:
    """Close an accepted TCP connection that ZeroMQ holds: it has no call for that.

    The descriptor may be another's by now, so only connections of our listening port are touched; whoever is cut by
    mistake connects again.
    """
    duplicate = _duplicate(descriptor)
    if duplicate is None:
        return
    with duplicate:
        try:
            is_ours = duplicate.family in {socket.AF_INET, socket.AF_INET6} and duplicate.getsockname()[1] == port
            if is_ours:
                duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def peer_address(descriptor: int) -> str:
    """Return the address at the other end, for the log; `?` when it is gone already."""
    duplicate = _duplicate(descriptor)
    if duplicate is None:
        return "?"
    with duplicate:
        try:
            return f"{_bracketed(duplicate.getpeername()[0])}:{duplicate.getpeername()[1]}"
        except (OSError, IndexError):
            return "?"


def within_descriptors(limits: BusLimits) -> BusLimits:
    """Return the limits with no more unproven connections than a quarter of the descriptors this process may have."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return limits
    unproven = max(1, min(limits.max_unproven_connections, allowed // 4))
    return msgspec.structs.replace(limits, max_unproven_connections=unproven)


def _duplicate(descriptor: int) -> socket.socket | None:
    try:
        number = os.dup(descriptor)
    except OSError:
        return None
    try:
        return socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
