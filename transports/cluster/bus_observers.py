"""What the bus tells its users. All calls come from the event loop, in order, and must not block."""

from typing import Protocol

import msgspec

from transports.cluster.handshake import Hello, Refused, Welcome
from transports.cluster.messages import ClusterEvent, FromNode, ToNode


class NodeBeat(msgspec.Struct, frozen=True):
    """A node's heartbeat.

    Args:
        sent_at_s: On the node's monotonic clock.
        received_at_s: On the head's.
        round_trip_s: The fastest of the last ones; None before the first.
        clock_offset_s: What to add to the head's clock to have the node's; wrong by at most half a round trip.
        event_loop_lag_s: How late the node's event loop was.
    """

    sent_at_s: float
    received_at_s: float
    round_trip_s: float | None
    clock_offset_s: float | None
    event_loop_lag_s: float


class HeadBusObserver(Protocol):
    """The user of a `HeadBus`."""

    def on_hello(self, node: str, hello: Hello) -> Welcome | Refused:
        """Decide over a new session: the node's process started, or lost the session that it had.

        The session begins, connected, when this returns a `Welcome`; until then `send` reaches the one before, which
        ends without another word. The bus fills in `Welcome.events_from`.
        """
        ...

    def on_message(self, node: str, message: FromNode) -> None:
        """Take a message: in the node's order, once in a session. Answers to requests do not come here."""
        ...

    def on_connected(self, node: str) -> None:
        """The node is back, with the session that it had: nothing is lost. Only after `on_disconnected`."""
        ...

    def on_disconnected(self, node: str) -> None:
        """The connection of a known session closed: its process ended, was cut off, or broke the protocol."""
        ...

    def on_heartbeat(self, node: str, beat: NodeBeat) -> None:
        """The node with a known session is alive."""
        ...

    def on_refused(self, address: str, reason: str) -> None:
        """Somebody was not let in, or was thrown out; a sentence for the log. Limited in rate."""
        ...


class NodeBusObserver(Protocol):
    """The user of a `NodeBus`."""

    def on_welcome(self, welcome: Welcome) -> None:
        """A session began: everything sent since its `Hello` was asked for belongs to it."""
        ...

    def on_refused(self, refused: Refused) -> None:
        """The head does not take this node. After a permanent refusal only `reconnect_now` tries again."""
        ...

    def on_message(self, message: ToNode) -> None:
        """Take a message: in the head's order, once in a session."""
        ...

    def on_event(self, event: ClusterEvent, sequence: int) -> None:
        """Take an event: in the head's order, each once."""
        ...

    def on_events_lost(self, first: int, last: int) -> None:
        """Events of these numbers were published, but the head has forgotten them."""
        ...

    def on_reached(self) -> None:
        """Something was heard from the head; not when it turned this node away: `on_refused` says that."""
        ...

    def on_unreachable(self, error: str) -> None:
        """A try to reach the head failed, or its connection was lost; a sentence. Once for each try."""
        ...
