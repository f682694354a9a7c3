"""Who has a trusted key and breaks the protocol: thrown out, told, bounded in its cost, and back with a hello."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
import msgspec
import psutil
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.cluster.bus_harness import FACTS, Cluster, eventually, running_cluster
from tests.transports.cluster.hostile_peer import hostile_peer
from tests.transports.cluster.test_strangers import still_serves
from transports.cluster.bus_limits import BusLimits
from transports.cluster.bus_sockets import new_socket
from transports.cluster.handshake import Hello, Refused
from transports.cluster.packets import (
    AskEvents,
    BadPacket,
    Beat,
    LinkBatch,
    Linked,
    Piece,
    SessionId,
    TurnedAway,
    decode_from_head_packet,
    decode_from_node_packet,
    encode,
)

SESSION = SessionId(b"p" * 16, 1)
HELLO = encode(Hello(1, FACTS))
MEBIBYTE = 1024 * 1024


def linked(first: int, *messages: bytes, acknowledged: int = 0) -> bytes:
    pieces = tuple(Piece(is_last=True, data=message) for message in messages)
    return encode(Linked(SESSION, LinkBatch(first, pieces, acknowledged)))


BREACHES: dict[str, list[bytes]] = {
    "nothing": [b""],
    "random": [b"\xc1" + os.urandom(2000)],
    "another type": [msgspec.msgpack.encode({"a": 1})],
    "an unknown packet": [msgspec.msgpack.encode([99, [b"p" * 16, 1]])],
    "a session of the wrong length": [msgspec.msgpack.encode([1, [b"p", 1], 0.0, None, 0.0, 0.0])],
    "deep nesting": [b"\x91" * 100_000],
    "no UTF-8": [linked(1, HELLO), linked(2, b"\x82\xa4type\xaaRankStarted\xa3pid\xa2\xff\xfe")],
    "a message of the head": [linked(1, HELLO), linked(2, msgspec.msgpack.encode({"type": "DumpStacks"}))],
    "an acknowledgement of the future": [linked(1, HELLO), linked(2, acknowledged=10**9)],
    "two frames": [b"two"],
    "a second hello": [linked(1, HELLO), linked(2, HELLO)],
}


QUICK_BREACHES = ("random", "no UTF-8", "a message of the head", "a second hello")


@pytest.mark.parametrize(
    "breach", [one if one in QUICK_BREACHES else pytest.param(one, marks=pytest.mark.soak) for one in BREACHES]
)
async def test_a_breach_ends_the_session_is_told_and_harms_nobody(breach: str):
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        keys = cluster.keys_for("bad")
        with hostile_peer(cluster.head.port, keys, cluster.head_keys.public) as peer:
            for packet in BREACHES[breach]:
                peer.send_multipart([packet, packet] if packet == b"two" else [packet])
            await eventually(lambda: cluster.record.refusals, "the report")
        assert "node bad is thrown out" in cluster.record.refusals[0][1]
        greeted = any(name == "bad" for name, _ in cluster.record.hellos)
        assert (("disconnected", "bad") in cluster.record.connections) == greeted
        await still_serves(cluster, node)
        again = await cluster.joined("bad", keys=keys)
        assert again.record.refusals == []
        assert [name for name, _ in cluster.record.hellos][-1] == "bad"


async def test_a_hello_that_cannot_be_read_is_answered_before_the_end():
    async with running_cluster() as cluster:
        keys = cluster.keys_for("bad")
        with hostile_peer(cluster.head.port, keys, cluster.head_keys.public) as peer:
            peer.send(linked(1, msgspec.msgpack.encode({"type": "Hello", "protocol_version": "next"})))
            await eventually(lambda: peer.poll(0), "the answer")
            answer = decode_from_head_packet(peer.recv())
        assert isinstance(answer, TurnedAway)
        assert isinstance(answer.refused, Refused)
        assert answer.refused.permanent
        assert "same version" in answer.refused.remedy


async def test_a_frame_that_is_too_large_ends_its_connection_only():
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        with hostile_peer(cluster.head.port, cluster.keys_for("bad"), cluster.head_keys.public) as peer:
            peer.send(linked(1, HELLO))
            await eventually(lambda: len(cluster.record.hellos) == 2, "its hello")
            peer.send(b"x" * (cluster.limits.max_packet_bytes + 1))
            await eventually(lambda: ("disconnected", "bad") in cluster.record.connections, "the end")
        await still_serves(cluster, node)


async def test_odd_subscriptions_are_not_kept():
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        with hostile_peer(cluster.head.events_port, cluster.keys_for("bad"), cluster.head_keys.public, zmq.SUB) as peer:
            peer.setsockopt(zmq.SUBSCRIBE, b"a topic")
            await eventually(lambda: cluster.record.refusals, "the report")
        assert "subscribed to something else" in cluster.record.refusals[0][1]
        await still_serves(cluster, node)


@contextmanager
def flooding(cluster: Cluster, send: Callable[[zmq.Socket[bytes]], None]) -> Iterator[None]:
    """A thread of a bad member that sends as fast as it can."""
    keys = cluster.keys_for("bad")
    ended = threading.Event()

    def flood() -> None:
        with hostile_peer(cluster.head.port, keys, cluster.head_keys.public) as peer:
            peer.setsockopt(zmq.SNDTIMEO, 50)
            while not ended.is_set():
                with suppress(zmq.Again):
                    send(peer)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=10)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(os.urandom(500), id="garbage", marks=pytest.mark.soak),
        pytest.param(os.urandom(200_000), id="large garbage"),
        pytest.param(encode(Beat(SESSION, 0.0, None, 0.0, 0.0)), id="beats of no session", marks=pytest.mark.soak),
        pytest.param(linked(1, HELLO), id="hellos"),
        pytest.param(linked(7, b""), id="late pieces", marks=pytest.mark.soak),
    ],
)
async def test_a_flood_from_a_member_is_bounded(packet: bytes):
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        resident = psutil.Process().memory_info().rss
        descriptors = len(os.listdir("/dev/fd"))  # noqa: PTH208 - an iterator would be one more
        with flooding(cluster, lambda peer: peer.send(packet)):
            until = time.monotonic() + 2
            while time.monotonic() < until:
                await still_serves(cluster, node)
            assert psutil.Process().memory_info().rss - resident < 200 * MEBIBYTE
            assert len(os.listdir("/dev/fd")) - descriptors < 30  # noqa: PTH208 - see above
        assert len(cluster.record.refusals) < 40
        assert node.record.errors == []


async def test_a_stalled_head_outlives_members_that_leave_with_a_full_queue():
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        for _ in range(5):
            with flooding(cluster, lambda peer: peer.send(linked(7, b""))):
                await anyio.sleep(0.1)
                # The event loop hangs: nothing is read, and what arrives fills every queue.
                time.sleep(0.2)  # noqa: ASYNC251
            time.sleep(0.1)  # noqa: ASYNC251
            await still_serves(cluster, node)
        made = new_socket(zmq.Context.instance(), zmq.ROUTER, cluster.limits)
        assert made.getsockopt(zmq.HEARTBEAT_IVL) == 0, "libzmq 4.3.5 aborts over its own heartbeats here"
        made.close()


@pytest.mark.soak
async def test_a_message_without_end_is_cut_off():
    limits = BusLimits(heartbeat_s=0.1, node_silence_s=0.5, handshake_s=0.5, reconnect_s=0.02)
    async with running_cluster(limits) as cluster:
        node = await cluster.joined("n1")
        resident = psutil.Process().memory_info().rss

        def send(peer: zmq.Socket[bytes]) -> None:
            peer.send(b"x" * 10_000, zmq.SNDMORE)
            time.sleep(0.001)

        with flooding(cluster, send):
            until = time.monotonic() + 4
            while time.monotonic() < until:
                await still_serves(cluster, node)
            assert psutil.Process().memory_info().rss - resident < 200 * MEBIBYTE


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.integers(0, 4).map(lambda tag: msgspec.msgpack.encode([tag, [b"p" * 16, 1], 1])))
def test_whatever_arrives_is_a_packet_or_a_bad_packet(data: bytes):
    for decode in (decode_from_node_packet, decode_from_head_packet):
        try:
            packet = decode(data)
        except BadPacket:
            continue
        assert isinstance(packet.session, SessionId)


def test_numbers_beyond_reason_are_refused():
    good = AskEvents(SESSION, 2**62 - 1, 1)
    assert decode_from_node_packet(encode(good)) == good
    with pytest.raises(BadPacket):
        decode_from_node_packet(encode(AskEvents(SESSION, -1, 1)))
    with pytest.raises(BadPacket):
        decode_from_node_packet(encode(AskEvents(SESSION, 2**63, 1)))
