"""The connections that a listening socket accepted, without I/O and clock: whose they are, and which to cut.

ZeroMQ tells of a connection by its file descriptor: when it was accepted, with every frame that it carried, and when it
closed. A frame can be read after its connection closed, and then belongs to none.
"""

from collections.abc import Callable
from dataclasses import dataclass

from transports.cluster.bus_limits import BusLimits


@dataclass(eq=False)
class Connection:
    """One accepted connection. `key` and `routing_id` are known once it said something."""

    descriptor: int
    address: str
    accepted_at: float
    heard_at: float
    key: str = ""
    routing_id: bytes = b""
    cut_because: str = ""

    @property
    def is_proven(self) -> bool:
        """The peer has a trusted key, and said something with it."""
        return self.key != ""


class Connections:
    """Follows one listening socket.

    Args:
        limits: How many may be unproven, and for how long; how long a proven one may be silent.
        cut: Closes a connection by its descriptor.
        lost: Told of each proven connection that closed.
        may_be_silent: Proven connections need not say anything.
    """

    def __init__(
        self,
        limits: BusLimits,
        cut: Callable[[int], None],
        lost: Callable[[Connection], None],
        *,
        may_be_silent: bool,
    ) -> None:
        self._limits = limits
        self._cut = cut
        self._lost = lost
        self._may_be_silent = may_be_silent
        self.spoken = 0
        self._by_descriptor: dict[int, Connection] = {}
        self._unproven: dict[int, Connection] = {}

    def accepted(self, descriptor: int, address: str, now: float) -> None:
        """A stranger connected. Too many of them, and the oldest is cut."""
        connection = Connection(descriptor, address, now, now)
        self._by_descriptor[descriptor] = self._unproven[descriptor] = connection
        if len(self._unproven) > self._limits.max_unproven_connections:
            self._end(next(iter(self._unproven.values())), "too many connections have not shown a key yet")

    def closed(self, descriptor: int) -> Connection | None:
        """The connection is gone; return what was known of it."""
        self._unproven.pop(descriptor, None)
        connection = self._by_descriptor.pop(descriptor, None)
        if connection is not None and connection.is_proven:
            self._lost(connection)
        return connection

    def heard(self, descriptor: int, key: str, routing_id: bytes, now: float) -> Connection | None:
        """A frame came from it; None when it is closed already, and the frame is a late one."""
        connection = self._by_descriptor.get(descriptor)
        if connection is None:
            return None
        if connection.is_proven and connection.routing_id != routing_id:
            # A late frame of an earlier connection with this descriptor was taken for one of this.
            self._lost(connection)
            connection = Connection(descriptor, connection.address, connection.accepted_at, now)
            self.spoken -= 1
            self._by_descriptor[descriptor] = connection
        self.spoken += not connection.is_proven
        self._unproven.pop(descriptor, None)
        connection.key, connection.routing_id, connection.heard_at = key, routing_id, now
        return connection

    def proven(self) -> list[Connection]:
        """Return those whose peer showed a key."""
        return [connection for connection in self._by_descriptor.values() if connection.is_proven]

    def cut_overdue(self, now: float) -> None:
        """Cut those that prove nothing in time, and those that went silent: their peers are gone, or up to no good."""
        for connection in list(self._by_descriptor.values()):
            if connection.cut_because:
                continue
            if not connection.is_proven and now - connection.accepted_at > 2 * self._limits.handshake_s:
                self._end(connection, "it did not show a key in time")
            silent_s = now - connection.heard_at
            if connection.is_proven and not self._may_be_silent and silent_s > 2 * self._limits.node_silence_s:
                self._end(connection, "it was silent")

    def _end(self, connection: Connection, because: str) -> None:
        self._unproven.pop(connection.descriptor, None)
        connection.cut_because = because
        self._cut(connection.descriptor)
