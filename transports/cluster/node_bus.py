"""A node's end of the cluster bus: one head, reached again and again."""

import time
from collections.abc import Callable

import anyio
import zmq

from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import NodeBusObserver
from transports.cluster.bus_sockets import SocketReader
from transports.cluster.handshake import Hello
from transports.cluster.keys import KeyPair
from transports.cluster.messages import FromNode
from transports.cluster.node_connection import NodeConnection, addresses_of, why_no_connection
from transports.cluster.node_sessions import NodeSessions
from transports.cluster.packets import BadPacket, encode

_REFUSED_PAUSE_S = 2.0


class NodeBus:
    """Keeps a node in touch with its head, whatever happens to the connection or to the head.

    All methods belong to the event loop of `run`; none blocks.

    Args:
        head: The head's name or numeric address.
        port: The head's port; its events come from the next one.
        keys: The node's own.
        head_key: The head's public key in Z85; nobody else is talked to.
        hello: Makes the node's first message: its state at that moment. Called for each new session.
        observer: Told everything.
        limits: Every limit of the bus. A head's `Welcome` replaces the periods of heartbeats and silence.
        from_address: The numeric address to connect from, None for the system's choice.
        pause_s: Asked after each failed try for the pause before the next; `limits.reconnect_s` by default.
        context: One that many nodes of a simulation share, which stays the caller's; None for one of its own.
    """

    def __init__(
        self,
        head: str,
        port: int,
        keys: KeyPair,
        head_key: bytes,
        hello: Callable[[], Hello],
        *,
        observer: NodeBusObserver,
        limits: BusLimits | None = None,
        from_address: str | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        pause_s: Callable[[], float] | None = None,
    ) -> None:
        self._head = head
        self._port = port
        self._keys = keys
        self._head_key = head_key
        self._observer = observer
        self._limits = limits or BusLimits()
        self._from_address = from_address
        self._context = context
        self._pause_s = pause_s or (lambda: self._limits.reconnect_s)
        self._sessions = NodeSessions(hello, observer, self._limits)
        self._wanted = anyio.Event()
        self._retry = anyio.Event()
        self._failures = 0
        self._problem: str | None = None
        self._heard_at = 0.0
        self._scope: anyio.CancelScope | None = None

    @property
    def clock_offset_s(self) -> float | None:
        """What to add to this node's monotonic clock to have the head's, wrong by at most half of `round_trip_s`."""
        return self._sessions.clock.offset_s

    @property
    def round_trip_s(self) -> float | None:
        """The fastest of the last round trips on this connection; None before the first."""
        return self._sessions.clock.round_trip_s

    def send(self, message: FromNode) -> None:
        """Queue a message for the head; it arrives in order and once, however often the connection is lost.

        Kept while the head is away. When another session begins (the head started again or forgot this node, or more
        is queued than the limits allow), what the old one still had is dropped: the new `Hello` tells the state.

        Raises:
            MessageTooLong: It is longer than `max_message_bytes`.
        """
        self._sessions.queue(message)
        self._wanted.set()

    def reconnect_now(self) -> None:
        """Give up the connection, or the pause between two tries, and connect at once."""
        self._retry.set()
        self._fail("a new connection was asked for")

    async def run(self) -> None:
        """Reach the head, and reach it again, until cancelled."""
        context = self._context or zmq.Context()
        try:
            while True:
                self._retry = anyio.Event()
                self._observer.on_unreachable(await self._try(context))
                await self._pause()
        finally:
            if self._context is None:
                context.destroy(linger=0)

    async def _pause(self) -> None:
        if self._sessions.is_permanently_refused:
            await self._retry.wait()
            self._sessions.is_permanently_refused = False
        pause_s = _REFUSED_PAUSE_S if self._sessions.is_turned_away else self._pause_s()
        with anyio.move_on_after(pause_s):
            await self._retry.wait()

    async def _try(self, context: zmq.Context[zmq.Socket[bytes]]) -> str:
        """Connect, and stay connected as long as it goes; return a sentence about the end."""
        try:
            addresses = await addresses_of(self._head, self._port)
            address = addresses[self._failures % len(addresses)]
            connection = NodeConnection(
                context,
                address,
                self._port,
                keys=self._keys,
                head_key=self._head_key,
                limits=self._limits,
                from_address=self._from_address,
            )
        except (OSError, UnicodeError) as exc:
            return f"cannot reach {self._head}: {exc}"
        self._problem = None
        try:
            await self._serve(connection)
        finally:
            connection.close()
            self._sessions.disconnected()
        # A name may have addresses that lead nowhere; the one that worked is kept.
        self._failures += not connection.is_open
        if connection.is_connected or self._retry.is_set():
            return self._problem or "the connection ended"
        return await why_no_connection(address, self._port, self._from_address)

    async def _serve(self, connection: NodeConnection) -> None:
        dealer = SocketReader(connection.dealer, lambda: self._read(connection))
        events = SocketReader(connection.subscriber, lambda: self._read_event(connection))
        opened = anyio.Event()
        monitor = SocketReader(connection.monitor.socket, lambda: self._read_monitor(connection, opened))
        self._heard_at = time.monotonic()
        async with anyio.create_task_group() as tasks:
            self._scope = tasks.cancel_scope
            tasks.start_soon(monitor.run)
            with anyio.move_on_after(self._limits.handshake_s):
                await opened.wait()
            if not opened.is_set():
                self._fail(f"no answer from {self._head} port {self._port} within {self._limits.handshake_s:g} s")
                return
            self._sessions.connected()
            self._wanted.set()
            for run in (dealer.run, events.run):
                tasks.start_soon(run)
            tasks.start_soon(self._flush_when_wanted, connection, dealer)
            tasks.start_soon(self._tick)
            tasks.start_soon(self._beat, connection)

    async def _flush_when_wanted(self, connection: NodeConnection, dealer: SocketReader) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            self._flush(connection)
            dealer.nudge()

    def _flush(self, connection: NodeConnection) -> None:
        now = time.monotonic()
        while (packet := self._sessions.next_packet(now)) is not None:
            if not _sent(connection, encode(packet)):
                self._sessions.not_sent(packet, now)
                return
        question = self._sessions.question(now)
        if question is not None:
            _sent(connection, encode(question))

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(self._limits.tick_s)
            now = time.monotonic()
            if self._sessions.is_due(now):
                self._wanted.set()
            silent_s = now - self._heard_at
            if silent_s > self._sessions.node_silence_s:
                self._fail(f"the head at {self._head} port {self._port} was silent for {silent_s:.1f} s")

    async def _beat(self, connection: NodeConnection) -> None:
        lag_s = 0.0
        while True:
            now = time.monotonic()
            beat = self._sessions.beat(now, lag_s)
            if beat is not None and _sent(connection, encode(beat)):
                self._wanted.set()
            due_at = now + self._sessions.heartbeat_s
            await anyio.sleep(max(0.0, due_at - time.monotonic()))
            lag_s = max(0.0, time.monotonic() - due_at)

    def _read(self, connection: NodeConnection) -> None:
        frames = connection.dealer.recv_multipart(zmq.NOBLOCK)
        now = self._heard_at = time.monotonic()
        try:
            self._sessions.packet(b"".join(frames), now)
        except BadPacket as exc:
            self._sessions.begin()
            self._fail(f"the head at {self._head} port {self._port} broke the protocol: {exc}")
        if self._sessions.is_turned_away:
            self._fail("the head refused this node")
        self._wanted.set()

    def _read_event(self, connection: NodeConnection) -> None:
        frames = connection.subscriber.recv_multipart(zmq.NOBLOCK)
        try:
            self._sessions.published(frames[0])
        except BadPacket as exc:
            self._fail(f"the head at {self._head} port {self._port} published what cannot be read: {exc}")
        self._wanted.set()

    def _read_monitor(self, connection: NodeConnection, opened: anyio.Event) -> None:
        problem = connection.read_monitor()
        if connection.is_open:
            opened.set()
        if problem is not None:
            self._fail(problem)
        raise zmq.Again

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or problem
        if self._scope is not None:
            self._scope.cancel()


def _sent(connection: NodeConnection, data: bytes) -> bool:
    try:
        connection.dealer.send(data, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True
