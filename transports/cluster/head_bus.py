"""The head's end of the cluster bus: a ROUTER for its nodes, an XPUB for events, and a doorkeeper."""

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import anyio
import msgspec
import zmq

from transports.cluster.authentication import Authenticator
from transports.cluster.bus_errors import NodeGone, RequestTimedOut
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import HeadBusObserver
from transports.cluster.bus_sockets import SocketReader, within_descriptors
from transports.cluster.connections import Connection
from transports.cluster.event_log import EventLog
from transports.cluster.head_listeners import Listener, Sender, listen_on_neighbours
from transports.cluster.head_session import Waiting
from transports.cluster.head_sessions import HeadSessions
from transports.cluster.keys import KeyPair
from transports.cluster.messages import Ask, ClusterEvent, ToNode
from transports.cluster.packets import BadPacket, NumberedEvent, UnreadableHello, encode
from transports.cluster.refusals import RefusalGate
from transports.cluster.requests import NodeAnswer, NodeRequest

_SUBSCRIBE_TO_ALL = b"\x01"
_UNSUBSCRIBE_FROM_ALL = b"\x00"
_LOOK_AT_STRANGERS_S = 0.5
_WITHDRAWN = "its key is not trusted any more"


class HeadBus:
    """Talks to every node that has a trusted key. Listens from the constructor on; answers while `run` runs.

    All methods belong to the event loop of `run`; none blocks.

    Args:
        address: A name or numeric address of this machine; `0.0.0.0` or `::` for all.
        port: Where nodes connect; the next one is for events. 0 takes two that are free.
        keys: The head's own.
        trusted: Gives the node's name for a public key in Z85, None for a stranger's. Asked again every half second,
            so that a key can be withdrawn at any time.
        observer: Told everything.
        limits: Every limit of the bus.

    Raises:
        BusCannotListen: The address or one of the ports cannot be had.
    """

    def __init__(
        self,
        address: str,
        port: int,
        keys: KeyPair,
        trusted: Callable[[bytes], str | None],
        observer: HeadBusObserver,
        *,
        limits: BusLimits | None = None,
    ) -> None:
        self._limits = limits = within_descriptors(limits or BusLimits())
        self._observer = observer
        self._gate = RefusalGate(limits.max_refusals_logged_per_s)
        self._log = EventLog(time.time_ns() >> 10, limits)
        self._request_ids = count(1)
        self._wanted = anyio.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._authenticator = Authenticator(self._context, trusted, self._refuse, limits)
            self._nodes, self._events = listen_on_neighbours(
                self._context, address, port, keys=keys, limits=limits, refused=self._refuse, closed=self._closed
            )
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self.port = self._nodes.port
        self.events_port = self._events.port
        self._sessions = HeadSessions(observer, self._log, limits, self._transmit, self._nodes.cut)
        self._nodes_reader = SocketReader(self._nodes.socket, self._read_node)
        self._events_reader = SocketReader(self._events.socket, self._read_subscriber)

    @property
    def is_closed(self) -> bool:
        """Nothing is open any more: the ports are free."""
        return self._context.closed

    async def run(self) -> None:
        """Serve until cancelled; then every socket is closed, and the bus cannot be used again."""
        readers = [
            self._nodes_reader,
            self._events_reader,
            SocketReader(self._authenticator.socket, self._authenticator.answer),
            SocketReader(self._nodes.monitor.socket, self._nodes.read_monitor),
            SocketReader(self._events.monitor.socket, self._events.read_monitor),
        ]
        try:
            async with anyio.create_task_group() as tasks:
                for reader in readers:
                    tasks.start_soon(reader.run)
                tasks.start_soon(self._flush_when_wanted)
                tasks.start_soon(self._tick)
                tasks.start_soon(self._look_at_strangers)
        finally:
            self.close()

    def close(self) -> None:
        """Close the sockets of a bus that `run` was never called for. Does nothing the second time."""
        if not self.is_closed:
            self._nodes.close()
            self._events.close()
            self._authenticator.close()
            self._context.destroy(linger=0)

    def send(self, node: str, message: ToNode) -> None:
        """Queue a message; it arrives in order and once, unless the session ends first.

        Raises:
            NodeUnknown: There is no session with this node.
            BusFull: The node does not keep up.
        """
        self._sessions.queue(node, message)
        self._wanted.set()

    async def request(self, node: str, request: NodeRequest, deadline_s: float) -> NodeAnswer:
        """Ask a node and return its answer.

        Raises:
            NodeUnknown: There is no session with this node.
            BusFull: The node does not keep up.
            RequestTimedOut: No answer came within `deadline_s`.
            NodeGone: The session ended before the answer.
        """
        session = self._sessions.current(node)
        request_id = next(self._request_ids)
        waiting = Waiting()
        self.send(node, Ask(request_id, deadline_s, request))
        session.requests[request_id] = waiting
        try:
            with anyio.move_on_after(deadline_s):
                await waiting.ended.wait()
        finally:
            del session.requests[request_id]
        if waiting.answer is not None:
            return waiting.answer
        asked = type(request).__name__
        if session.is_over:
            raise NodeGone(f"the session of node {node} ended before it answered {asked}")
        raise RequestTimedOut(f"node {node} did not answer {asked} within {deadline_s:g} s")

    def publish(self, event: ClusterEvent) -> int:
        """Tell every node, and return the event's number.

        Raises:
            MessageTooLong: It is longer than `max_message_bytes`.
        """
        data = msgspec.msgpack.encode(event)
        sequence = self._log.append(data)
        # A subscriber that is too slow for this one sees the gap and asks for it.
        with suppress(zmq.Again):
            self._events.socket.send(encode(NumberedEvent(self._log.epoch, sequence, data)), zmq.NOBLOCK)
        self._events_reader.nudge()
        return sequence

    def forget(self, node: str) -> None:
        """Drop the node's session: it has to say hello again. Requests to it end with `NodeGone`."""
        self._sessions.forget(node)

    async def _flush_when_wanted(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            self._sessions.flush(time.monotonic())
            self._nodes_reader.nudge()

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(self._limits.tick_s)
            self._sessions.tick(time.monotonic())
            self._nodes_reader.nudge()

    async def _look_at_strangers(self) -> None:
        while True:
            await anyio.sleep(_LOOK_AT_STRANGERS_S)
            now = time.monotonic()
            for listener in (self._nodes, self._events):
                listener.connections.cut_overdue(now)
                for connection in listener.connections.proven():
                    if self._authenticator.node_of(connection.key) is None:
                        sender = Sender(connection.key, connection.address, connection)
                        self._throw_out(listener, sender, None, _WITHDRAWN)
            untold = self._gate.untold(now)
            if untold:
                self._observer.on_refused("several addresses", f"{untold} more refusals within a second")

    def _read_node(self) -> None:
        frames = self._nodes.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        # A connection that this came from is known first: its events are written before its frames.
        self._nodes.read_all_events()
        self._take(frames)

    def _take(self, frames: list[zmq.Frame]) -> None:
        now = time.monotonic()
        sender = self._nodes.sender_of(frames[-1], frames[0].bytes, now)
        node = self._authenticator.node_of(sender.key)
        problem: str | None = None
        if node is None:
            problem = _WITHDRAWN
        elif len(frames) != 2:
            problem = f"it sent a packet of {len(frames) - 1} frames"
        else:
            try:
                self._sessions.packet(node, sender.connection, frames[1].bytes, now)
            except UnreadableHello as exc:
                self._refuse(sender.address, f"node {node}: {exc}")
            except BadPacket as exc:
                problem = str(exc)
        if problem is not None:
            self._throw_out(self._nodes, sender, node, problem)
        self._wanted.set()

    def _read_subscriber(self) -> None:
        frames = self._events.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        self._events.read_all_events()
        asked = frames[0].bytes
        if asked == _UNSUBSCRIBE_FROM_ALL:
            # ZeroMQ says so itself when a connection closes.
            return
        sender = self._events.sender_of(frames[0], b"", time.monotonic())
        if len(frames) == 1 and asked == _SUBSCRIBE_TO_ALL:
            self._events.socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            node = self._authenticator.node_of(sender.key)
            self._throw_out(self._events, sender, node, "it subscribed to something else than all events")

    def _throw_out(self, listener: Listener, sender: Sender, node: str | None, reason: str) -> None:
        if node is not None:
            self._sessions.forget(node, is_disconnected=True)
        if sender.key:
            self._authenticator.punish(sender.key)
        if sender.connection is not None:
            listener.cut(sender.connection)
        self._refuse(sender.address, f"node {node or '?'} is thrown out: {reason}")

    def _closed(self, connection: Connection) -> None:
        self._sessions.closed(connection)

    def _transmit(self, connection: Connection, data: bytes) -> bool:
        try:
            self._nodes.socket.send_multipart([connection.routing_id, data], zmq.NOBLOCK)
        except zmq.ZMQError:
            # Its queue is full (EAGAIN), or the connection closed (EHOSTUNREACH), which its monitor is about to tell.
            return False
        return True

    def _refuse(self, address: str, reason: str) -> None:
        if self._gate.may_tell(time.monotonic()):
            self._observer.on_refused(address, reason)
