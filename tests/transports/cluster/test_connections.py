"""Descriptors come again, frames come late: no connection is ever taken for another."""

from transports.cluster.bus_limits import BusLimits
from transports.cluster.connections import Connection, Connections

LIMITS = BusLimits(max_unproven_connections=3, handshake_s=1.0, node_silence_s=5.0)


class Followed:
    """Connections, and what they asked for."""

    def __init__(self, *, may_be_silent: bool = False) -> None:
        self.cut: list[int] = []
        self.lost: list[Connection] = []
        self.connections = Connections(LIMITS, self.cut.append, self.lost.append, may_be_silent=may_be_silent)


def test_a_frame_of_a_closed_connection_belongs_to_none():
    followed = Followed()
    followed.connections.accepted(7, "a", 0.0)
    first = followed.connections.heard(7, "key", b"r1", 0.1)
    assert first is not None
    followed.connections.closed(7)
    assert followed.lost == [first]
    assert followed.connections.heard(7, "key", b"r1", 0.2) is None


def test_a_descriptor_that_is_used_again_is_another_connection():
    followed = Followed()
    followed.connections.accepted(7, "a", 0.0)
    old = followed.connections.heard(7, "old", b"r1", 0.1)
    followed.connections.closed(7)
    followed.connections.accepted(7, "b", 0.2)
    mistaken = followed.connections.heard(7, "old", b"r1", 0.3)
    assert mistaken is not None
    assert mistaken is not old
    new = followed.connections.heard(7, "new", b"r2", 0.4)
    assert new is not None
    assert new is not mistaken
    assert (new.key, new.routing_id) == ("new", b"r2")
    assert followed.lost == [old, mistaken]
    assert followed.connections.proven() == [new]
    assert followed.connections.spoken == 2


def test_the_oldest_stranger_is_cut_for_the_next():
    followed = Followed()
    for descriptor in range(6):
        followed.connections.accepted(descriptor, "a", 0.0)
        if descriptor == 0:
            followed.connections.heard(0, "key", b"r", 0.0)
    assert followed.cut == [1, 2]


def test_who_shows_no_key_or_goes_silent_is_cut_once():
    followed = Followed()
    followed.connections.accepted(1, "stranger", 0.0)
    followed.connections.accepted(2, "node", 0.0)
    followed.connections.heard(2, "key", b"r", 0.0)
    followed.connections.cut_overdue(1.9)
    assert followed.cut == []
    followed.connections.cut_overdue(2.1)
    assert followed.cut == [1]
    followed.connections.cut_overdue(10.1)
    followed.connections.cut_overdue(20.0)
    assert followed.cut == [1, 2]


def test_who_only_listens_may_be_silent():
    followed = Followed(may_be_silent=True)
    followed.connections.accepted(2, "node", 0.0)
    followed.connections.heard(2, "key", b"", 0.0)
    followed.connections.cut_overdue(1000.0)
    assert followed.cut == []
