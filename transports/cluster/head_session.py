"""One node's session, as the head holds it."""

import anyio

from transports.cluster.bus_limits import BusLimits
from transports.cluster.connections import Connection
from transports.cluster.link import Link
from transports.cluster.packets import SessionId
from transports.cluster.peer_clock import PeerClock
from transports.cluster.requests import NodeAnswer


class Waiting:
    """A request on its way: `ended` is set when it is answered, or never will be."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.answer: NodeAnswer | None = None


class HeadSession:
    """The link to one process of a node, the connection that carries it now, and who waits for answers.

    It is arriving until its `Hello` was accepted, and over once it was replaced, refused or forgotten.
    """

    def __init__(self, node: str, session_id: SessionId, limits: BusLimits) -> None:
        self.node = node
        self.session_id = session_id
        self.link = Link(limits)
        self.clock = PeerClock()
        self.connection: Connection | None = None
        self.is_welcome = False
        self.is_over = False
        self.is_told_disconnected = False
        self.requests: dict[int, Waiting] = {}

    def answered(self, request_id: int, answer: NodeAnswer) -> None:
        """Hand an answer to who waits for it; late ones are dropped."""
        waiting = self.requests.get(request_id)
        if waiting is not None and waiting.answer is None:
            waiting.answer = answer
            waiting.ended.set()

    def end(self) -> None:
        """The session is over: nobody waits any more."""
        self.is_over = True
        for waiting in self.requests.values():
            waiting.ended.set()
