"""A node's side of its session with a head: what a packet means, and what to send. Without sockets and a clock."""

import os
from collections.abc import Callable

from transports.cluster.bus_errors import BusFull
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_observers import NodeBusObserver
from transports.cluster.event_log import EventFollower, EventsLost, Followed, FollowedEvent
from transports.cluster.handshake import Hello
from transports.cluster.link import Link
from transports.cluster.messages import FromNode
from transports.cluster.packets import (
    AskEvents,
    BadPacket,
    Beat,
    BeatAnswer,
    FromHeadPacket,
    Linked,
    PastEvents,
    SayHello,
    SessionId,
    TurnedAway,
    decode_cluster_event,
    decode_event,
    decode_from_head_packet,
    decode_opening,
    decode_to_node,
    encode,
)
from transports.cluster.peer_clock import PeerClock

_PROCESS_BYTES = 16


class NodeSessions:
    """The one session that a node has at a time, and the ones after it.

    Args:
        hello: Makes the first message of a session: the node's state at that moment.
        observer: Told what the head says.
        limits: The bus's limits.
    """

    def __init__(self, hello: Callable[[], Hello], observer: NodeBusObserver, limits: BusLimits) -> None:
        self._hello = hello
        self._observer = observer
        self._limits = limits
        self._id = SessionId(os.urandom(_PROCESS_BYTES), 0)
        self._link: Link | None = None
        self._follower: EventFollower | None = None
        self.is_welcome = False
        self.is_turned_away = False
        self.is_permanently_refused = False
        self.heartbeat_s = limits.heartbeat_s
        self.node_silence_s = limits.node_silence_s
        self.clock = PeerClock()

    def queue(self, message: FromNode) -> None:
        """Take a message of the session. Without one, the next `Hello` will tell what it would have told.

        When the head does not keep up, or is away for too long, the session is given up: a new one begins with a
        `Hello` of then, and the head knows that messages are missing between the two.
        """
        if self._link is None:
            return
        try:
            self._link.queue(encode(message))
        except BusFull:
            self.begin()

    def begin(self) -> None:
        """Leave the session, if there is one, and say hello."""
        self._id = SessionId(self._id.process, self._id.number + 1)
        self._link = Link(self._limits)
        self.is_welcome = self.is_turned_away = False
        self._link.queue(encode(self._hello()))

    def connected(self) -> None:
        """There is a connection: go on with the session that the head welcomed, else begin one."""
        self.clock = PeerClock()
        if self.is_welcome and self._link is not None:
            self._link.reconnected()
        else:
            self.begin()

    def disconnected(self) -> None:
        """The connection is gone. A session that was not welcomed yet goes with it."""
        if not self.is_welcome:
            self._link = None

    def next_packet(self, now: float) -> Linked | None:
        """Return what the session's stream has to send now."""
        if self._link is None or self.is_turned_away:
            return None
        batch = self._link.next_batch(now)
        return Linked(self._id, batch) if batch is not None else None

    def not_sent(self, packet: Linked, now: float) -> None:
        """The packet that was returned last could not be sent."""
        if self._link is not None and packet.session == self._id:
            self._link.not_sent(packet.batch, now)

    def is_due(self, now: float) -> bool:
        """Something has to be sent now because of the time that passed."""
        due_at = self._link.due_at() if self._link is not None else None
        misses_events = self._follower is not None and self._follower.is_behind
        return misses_events or (due_at is not None and due_at <= now)

    def beat(self, now: float, event_loop_lag_s: float) -> Beat | None:
        """Return a heartbeat; None while there is no session: the head would ask for the `Hello` that is on its way."""
        if not self.is_welcome:
            return None
        echo_s, held_s = self.clock.echo(now)
        return Beat(self._id, now, echo_s, held_s, event_loop_lag_s)

    def question(self, now: float) -> AskEvents | None:
        """Return which events to ask for now."""
        if self._follower is None or not self.is_welcome:
            return None
        first = self._follower.question(now)
        return AskEvents(self._id, self._follower.epoch, first) if first is not None else None

    def packet(self, data: bytes, now: float) -> None:
        """Take what the head sent. Packets of other sessions are late and dropped.

        Raises:
            BadPacket: The head breaks the protocol.
        """
        packet = decode_from_head_packet(data)
        # A head that turns this node away is of no more use to it than one that cannot be reached.
        if not isinstance(packet, TurnedAway):
            self._observer.on_reached()
        if packet.session != self._id or self._link is None:
            return
        self._take(packet, self._link, now)

    def published(self, data: bytes) -> None:
        """Take an event as it was published. Raises `BadPacket`."""
        event = decode_event(data)
        if self._follower is not None and self.is_welcome:
            self._followed(self._follower.published(event.epoch, event.sequence, event.event))

    def _take(self, packet: FromHeadPacket, link: Link, now: float) -> None:
        match packet:
            case Linked():
                for message in link.receive(packet.batch, now):
                    self._message(message, link)
            case BeatAnswer():
                self.clock.heard(packet.sent_at_s, packet.echo_s, packet.held_s, now)
                if self._follower is not None:
                    self._follower.told_end(packet.epoch, packet.next_event)
            case PastEvents():
                if self._follower is not None:
                    self._followed(self._follower.repeated(packet.epoch, packet.first, packet.events))
            case SayHello():
                self.begin()
            case TurnedAway():
                self.is_turned_away = True
                self.is_welcome = False
                self.is_permanently_refused = packet.refused.permanent
                self._link = None
                self._observer.on_refused(packet.refused)

    def _message(self, data: bytes, link: Link) -> None:
        if self._link is not link:
            return
        if self.is_welcome:
            self._observer.on_message(decode_to_node(data))
            return
        opening = decode_opening(data)
        self.is_welcome = True
        welcome = opening.welcome
        if welcome.heartbeat_s <= 0 or welcome.node_silence_s <= welcome.heartbeat_s:
            raise BadPacket(f"heartbeats of {welcome.heartbeat_s} s and a silence of {welcome.node_silence_s} s")
        self.heartbeat_s, self.node_silence_s = welcome.heartbeat_s, welcome.node_silence_s
        if self._follower is None or self._follower.epoch != opening.events_epoch:
            self._follower = EventFollower(opening.events_epoch, welcome.events_from, self._limits)
        self._observer.on_welcome(welcome)

    def _followed(self, followed: list[Followed]) -> None:
        problem: BadPacket | None = None
        for one in followed:
            match one:
                case FollowedEvent():
                    try:
                        event = decode_cluster_event(one.event)
                    except BadPacket as exc:
                        problem = exc
                        continue
                    self._observer.on_event(event, one.sequence)
                case EventsLost():
                    self._observer.on_events_lost(one.first, one.last)
        if problem is not None:
            raise problem
