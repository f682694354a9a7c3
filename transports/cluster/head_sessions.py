"""The sessions of all nodes: what a packet means for whom. Without sockets and without a clock."""

from collections import deque
from collections.abc import Callable

import msgspec

from transports.cluster.bus_errors import NodeUnknown
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import HeadBusObserver, NodeBeat
from transports.cluster.connections import Connection
from transports.cluster.event_log import EventLog
from transports.cluster.handshake import Refused
from transports.cluster.head_session import HeadSession
from transports.cluster.messages import Answer, ToNode
from transports.cluster.packets import (
    AskEvents,
    BadPacket,
    Beat,
    BeatAnswer,
    FromNodePacket,
    Linked,
    Opening,
    PastEvents,
    SayHello,
    SessionId,
    TurnedAway,
    UnreadableHello,
    decode_from_node,
    decode_from_node_packet,
    decode_hello,
    encode,
)

_REMEMBERED_PROCESSES = 16
_REPLACED = Refused(
    "another process with this node's key has joined the cluster since",
    "Run one agent for each node; give a second one keys of its own with `ringwarden keys`",
    permanent=True,
)


class HeadSessions:
    """What the head knows of its nodes' sessions; one current one for each node.

    Args:
        observer: Told what the nodes say.
        events: What a node may ask for again.
        limits: The bus's limits.
        transmit: Sends a packet to a connection at once; False when it cannot take it now.
        cut: Closes a connection.
    """

    def __init__(
        self,
        observer: HeadBusObserver,
        events: EventLog,
        limits: BusLimits,
        transmit: Callable[[Connection, bytes], bool],
        cut: Callable[[Connection], None],
    ) -> None:
        self._observer = observer
        self._events = events
        self._limits = limits
        self._transmit = transmit
        self._cut = cut
        self._current: dict[str, HeadSession] = {}
        self._arriving: dict[str, HeadSession] = {}
        self._replaced: dict[str, deque[bytes]] = {}
        self._unflushed: set[HeadSession] = set()
        self._busy: set[HeadSession] = set()

    def current(self, node: str) -> HeadSession:
        """Return the node's session. Raises `NodeUnknown` when there is none."""
        session = self._current.get(node)
        if session is None:
            raise NodeUnknown(f"the head has no session with a node {node}")
        return session

    def queue(self, node: str, message: ToNode) -> None:
        """Queue a message. Raises `NodeUnknown` or `BusFull`."""
        session = self.current(node)
        session.link.queue(encode(message))
        self._unflushed.add(session)

    def packet(self, node: str, connection: Connection | None, data: bytes, now: float) -> None:
        """Take a packet of a node; `connection` is None when it closed before the packet was read.

        Raises:
            BadPacket: The node breaks the protocol.
            UnreadableHello: So it does with its first message, and is told so: it can stay until it has read that.
        """
        packet = decode_from_node_packet(data)
        session = self._session_of(node, connection, packet)
        if session is None:
            return
        self._attach(session, connection)
        match packet:
            case Linked():
                for message in session.link.receive(packet.batch, now):
                    self._message(session, message)
                self._unflushed.add(session)
            case Beat():
                self._beat(session, packet, now)
            case AskEvents():
                self._repeat(session, packet)

    def closed(self, connection: Connection) -> None:
        """A connection closed: at once, however its node ended."""
        for session in (self._current, self._arriving):
            found = next((one for one in session.values() if one.connection is connection), None)
            if found is not None:
                found.connection = None
                self._tell_disconnected(found)

    def forget(self, node: str, *, is_disconnected: bool = False) -> None:
        """End the node's session; it has to say hello again. `is_disconnected` tells the observer that it is away."""
        for sessions in (self._arriving, self._current):
            session = sessions.pop(node, None)
            if session is not None:
                if is_disconnected:
                    self._tell_disconnected(session)
                self._say(session.connection, SayHello(session.session_id))
                self._end(session)

    def flush(self, now: float) -> None:
        """Send what was queued since the last time."""
        unflushed, self._unflushed = self._unflushed, set()
        for session in unflushed:
            self._send(session, now)

    def tick(self, now: float) -> None:
        """Send what is due by time: acknowledgements, and what was not acknowledged."""
        for session in list(self._busy):
            due_at = session.link.due_at()
            if due_at is None or due_at <= now:
                self._send(session, now)

    def _session_of(self, node: str, connection: Connection | None, packet: FromNodePacket) -> HeadSession | None:
        asked = packet.session
        known = [one for one in (self._current.get(node), self._arriving.get(node)) if one is not None]
        for session in known:
            if session.session_id == asked:
                return session
        if asked.process in self._replaced.get(node, ()):
            self._say(connection, TurnedAway(asked, _REPLACED))
            return None
        if any(one.session_id.process == asked.process and one.session_id.number > asked.number for one in known):
            return None
        if isinstance(packet, Linked) and packet.batch.first == 1 and packet.batch.pieces:
            arriving = self._arriving[node] = HeadSession(node, asked, self._limits)
            return arriving
        self._say(connection, SayHello(asked))
        return None

    def _attach(self, session: HeadSession, connection: Connection | None) -> None:
        before = session.connection
        if connection is None or connection is before:
            return
        if before is not None:
            if before.accepted_at > connection.accepted_at:
                return
            self._cut(before)
        session.connection = connection
        session.link.reconnected()
        self._busy.add(session)
        self._unflushed.add(session)
        if session.is_told_disconnected:
            session.is_told_disconnected = False
            self._observer.on_connected(session.node)

    def _message(self, session: HeadSession, data: bytes) -> None:
        if session.is_over:
            return
        if not session.is_welcome:
            self._hello(session, data)
            return
        message = decode_from_node(data)
        if isinstance(message, Answer):
            session.answered(message.request_id, message.answer)
        else:
            self._observer.on_message(session.node, message)

    def _hello(self, session: HeadSession, data: bytes) -> None:
        node = session.node
        try:
            hello = decode_hello(data)
        except BadPacket as exc:
            remedy = "Run the same version of Ringwarden on the head and on the node"
            self._turn_away(session, Refused(f"the head cannot read the node's Hello: {exc}", remedy, permanent=True))
            raise UnreadableHello(str(exc)) from exc
        decision = self._observer.on_hello(node, hello)
        if isinstance(decision, Refused):
            self._turn_away(session, decision)
            return
        before = self._current.pop(node, None)
        if before is not None:
            self._replace(before, session.session_id)
        if self._arriving.get(node) is session:
            del self._arriving[node]
        self._current[node] = session
        session.is_welcome = True
        welcome = msgspec.structs.replace(decision, events_from=self._events.next_sequence)
        session.link.queue(encode(Opening(welcome, self._events.epoch)))
        if session.connection is None:
            self._tell_disconnected(session)

    def _replace(self, before: HeadSession, successor: SessionId) -> None:
        if before.session_id.process != successor.process:
            processes = self._replaced.setdefault(before.node, deque(maxlen=_REMEMBERED_PROCESSES))
            processes.append(before.session_id.process)
            self._say(before.connection, TurnedAway(before.session_id, _REPLACED))
        self._end(before)

    def _turn_away(self, session: HeadSession, refused: Refused) -> None:
        self._say(session.connection, TurnedAway(session.session_id, refused))
        if self._arriving.get(session.node) is session:
            del self._arriving[session.node]
        self._end(session)

    def _beat(self, session: HeadSession, beat: Beat, now: float) -> None:
        session.clock.heard(beat.sent_at_s, beat.echo_s, beat.held_s, now)
        echo_s, held_s = session.clock.echo(now)
        answer = BeatAnswer(session.session_id, now, echo_s, held_s, self._events.epoch, self._events.next_sequence)
        self._say(session.connection, answer)
        if session.is_welcome:
            clock = session.clock
            told = NodeBeat(beat.sent_at_s, now, clock.round_trip_s, clock.offset_s, beat.event_loop_lag_s)
            self._observer.on_heartbeat(session.node, told)

    def _repeat(self, session: HeadSession, asked: AskEvents) -> None:
        if asked.epoch == self._events.epoch:
            first, events = self._events.since(asked.first, self._limits.max_packet_bytes)
            self._say(session.connection, PastEvents(session.session_id, asked.epoch, first, events))

    def _send(self, session: HeadSession, now: float) -> None:
        if session.is_over or session.connection is None:
            self._busy.discard(session)
            return
        while (batch := session.link.next_batch(now)) is not None:
            if not self._transmit(session.connection, encode(Linked(session.session_id, batch))):
                session.link.not_sent(batch, now)
                break
        if session.link.due_at() is None:
            self._busy.discard(session)
        else:
            self._busy.add(session)

    def _say(self, connection: Connection | None, packet: msgspec.Struct) -> None:
        if connection is not None:
            self._transmit(connection, encode(packet))

    def _tell_disconnected(self, session: HeadSession) -> None:
        if session.is_welcome and not session.is_told_disconnected:
            session.is_told_disconnected = True
            self._observer.on_disconnected(session.node)

    def _end(self, session: HeadSession) -> None:
        session.end()
        self._busy.discard(session)
        self._unflushed.discard(session)
