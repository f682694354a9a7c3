"""The link keeps its promise on every network: each message once, in order, and never more than the limits hold."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.cluster.bus_errors import BusFull, MessageTooLong
from transports.cluster.bus_limits import BusLimits
from transports.cluster.link import Link
from transports.cluster.packets import BadPacket, LinkBatch, Piece

SMALL = BusLimits(
    max_message_bytes=4096,
    max_packet_bytes=200,
    max_unacknowledged_messages=400,
    max_unacknowledged_bytes=40_000,
    max_in_flight_bytes=600,
    retransmit_s=1.0,
    acknowledge_s=0.05,
)


@dataclass
class Network:
    """Two links and what is between them: packets are kept apart so that a test can pick any."""

    links: tuple[Link, Link] = field(default_factory=lambda: (Link(SMALL), Link(SMALL)))
    under_way: tuple[list[LinkBatch], list[LinkBatch]] = field(default_factory=lambda: ([], []))
    received: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    sent: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    now: float = 100.0

    def send(self, side: int, payload: bytes) -> None:
        try:
            self.links[side].queue(payload)
        except BusFull:
            return
        self.sent[side].append(payload)

    def collect(self, side: int) -> None:
        while (batch := self.links[side].next_batch(self.now)) is not None:
            self.under_way[1 - side].append(batch)

    def deliver(self, side: int, index: int = 0) -> None:
        if self.under_way[side]:
            batch = self.under_way[side].pop(index % len(self.under_way[side]))
            self.received[side].extend(self.links[side].receive(batch, self.now))

    def disturb(self, step: str, side: int, value: int) -> None:
        waiting = self.under_way[side]
        match step:
            case "collect":
                self.collect(side)
            case "deliver" | "reorder":
                self.deliver(side, value)
            case "lose" if waiting:
                waiting.pop(value % len(waiting))
            case "duplicate" if waiting:
                waiting.append(waiting[value % len(waiting)])
            case "refuse":
                batch = self.links[side].next_batch(self.now)
                if batch is not None:
                    self.links[side].not_sent(batch, self.now)
            case "reconnect":
                for link in self.links:
                    link.reconnected()
            case "wait":
                self.now += value / 10
            case _:
                pass

    def settle(self) -> None:
        """A network that works again, for as long as the longest backoff needs."""
        for _ in range(400):
            for side in (0, 1):
                self.collect(side)
                while self.under_way[side]:
                    self.deliver(side)
            self.now += 0.1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 1), st.integers(0, 900)),
        st.tuples(st.just("collect"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("deliver"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("reorder"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("lose"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("duplicate"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("refuse"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 30)),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_every_message_arrives_once_and_in_order(plan: list[tuple[str, int, int]]):
    network = Network()
    for number, (step, side, value) in enumerate(plan):
        if step == "send":
            network.send(side, f"{number}:".encode() + b"x" * value)
        else:
            network.disturb(step, side, value)
        for receiver in (0, 1):
            expected = network.sent[1 - receiver][: len(network.received[receiver])]
            assert network.received[receiver] == expected
    network.settle()
    assert network.received[0] == network.sent[1]
    assert network.received[1] == network.sent[0]
    assert [link.due_at() for link in network.links] == [None, None]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=60))
def test_what_waits_is_bounded_and_a_refused_message_leaves_nothing_behind(sizes: list[int]):
    network = Network()
    accepted: list[bytes] = []
    for number, size in enumerate(sizes):
        payload = bytes([number]) * size
        try:
            network.links[0].queue(payload)
        except BusFull:
            continue
        accepted.append(payload)
    assert sum(len(payload) for payload in accepted) <= SMALL.max_unacknowledged_bytes
    network.settle()
    assert network.received[1] == accepted


def test_no_packet_is_larger_than_allowed_and_no_more_is_in_flight():
    link = Link(SMALL)
    link.queue(b"x" * 4000)
    batches: list[LinkBatch] = []
    while (batch := link.next_batch(0.0)) is not None:
        batches.append(batch)
    assert max(sum(len(piece.data) for piece in batch.pieces) for batch in batches) <= SMALL.max_packet_bytes
    assert sum(len(piece.data) for batch in batches for piece in batch.pieces) <= SMALL.max_in_flight_bytes


def test_messages_of_one_turn_share_a_packet():
    link = Link(BusLimits())
    for _ in range(50):
        link.queue(b"token")
    batch = link.next_batch(0.0)
    assert batch is not None
    assert len(batch.pieces) == 50
    assert link.next_batch(0.0) is None


def test_a_gap_is_asked_for_at_once_and_only_once():
    sender, receiver = Link(SMALL), Link(SMALL)
    sender.queue(b"a")
    assert sender.next_batch(0.0) is not None, "this one is lost"
    later: list[LinkBatch] = []
    for payload in (b"b", b"c"):
        sender.queue(payload)
        batch = sender.next_batch(0.0)
        assert batch is not None
        later.append(batch)
    assert receiver.receive(later[0], 0.0) == []
    asked = receiver.next_batch(0.0)
    assert asked is not None
    assert asked.resend
    assert receiver.receive(later[1], 0.0) == []
    assert receiver.next_batch(0.0) is None
    sender.receive(asked, 0.0)
    again = sender.next_batch(0.0)
    assert again is not None
    assert receiver.receive(again, 0.0) == [b"a", b"b", b"c"]


def test_a_silent_peer_is_tried_less_and_less_often():
    link = Link(SMALL)
    link.queue(b"a")
    assert link.next_batch(0.0) is not None
    sent_at: list[float] = []
    for tenth in range(1, 400):
        if link.next_batch(tenth / 10) is not None:
            sent_at.append(tenth / 10)
    assert sent_at[0] == pytest.approx(1.0)
    assert len(sent_at) <= 7


def test_a_peer_that_acknowledges_what_was_never_sent_is_thrown_out():
    link = Link(SMALL)
    link.queue(b"a")
    with pytest.raises(BadPacket):
        link.receive(LinkBatch(1, (), 1), 0.0)


def test_a_message_without_end_is_refused():
    link = Link(SMALL)
    with pytest.raises(BadPacket):
        for number in range(1, 10_000):
            link.receive(LinkBatch(number, (Piece(is_last=False, data=b"x" * 100),), 0), 0.0)


def test_a_message_that_is_too_long_is_refused_here_already():
    with pytest.raises(MessageTooLong):
        Link(SMALL).queue(b"x" * 4097)
