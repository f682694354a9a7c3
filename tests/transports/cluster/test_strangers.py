"""Who has no key, or the wrong one: refused, told in words, and bounded in what it can cost."""

import os
import socket
import struct
import time
from contextlib import ExitStack

import anyio
import pytest
import zmq

from tests.support.tcp_proxy import TcpProxy
from tests.transports.cluster.bus_harness import (
    Cluster,
    Node,
    changed,
    eventually,
    ordered,
    running_cluster,
    started,
)
from tests.transports.cluster.hostile_peer import hostile_peer
from transports.cluster.bus_limits import BusLimits
from transports.cluster.keys import generate_key_pair, key_text

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 600,
    "random": os.urandom(4096),
    "zeros": b"\0" * 4096,
    "signature only": b"\xff" * 10 + b"\x7f" * 4000,
    "greeting and garbage": GREETING + os.urandom(500),
    "greeting and a huge frame": GREETING + b"\x06" + struct.pack(">Q", 2**62) + b"x" * 5000,
    "greeting and a negative frame": GREETING + b"\x06" + struct.pack(">Q", 2**63 + 5) + b"x" * 5000,
    "greeting and empty commands": GREETING + b"\x04\x00" * 500,
    "hello of nothing": GREETING + b"\x04\xc8\x05HELLO\x01\x00" + b"\0" * 192,
    "initiate first": GREETING + b"\x06" + struct.pack(">Q", 400) + b"\x08INITIATE" + os.urandom(391),
    "clear text": GREETING.replace(b"CURVE", b"NULL\0") + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER",
    "old protocol": b"\x01\x00\x05\x00hello",
}


async def still_serves(cluster: Cluster, node: Node) -> None:
    """Both directions work for somebody who behaves."""
    number = int(time.monotonic_ns())
    node.bus.send(started(number))
    cluster.head.send("n1", ordered(number))
    await eventually(lambda: number in cluster.record.numbers(), "a message upward")
    await eventually(lambda: number in node.record.numbers(), "a message downward")


async def test_a_node_with_an_unknown_key_is_refused_and_both_sides_say_so():
    async with running_cluster() as cluster:
        keys = generate_key_pair()
        stranger = cluster.node(keys=keys)
        await eventually(lambda: stranger.record.errors and cluster.record.refusals, "the refusal")
        assert "refuses this node's key" in stranger.record.errors[0]
        address, reason = cluster.record.refusals[0]
        assert address == "127.0.0.1"
        assert key_text(keys.public) in reason
        assert cluster.record.hellos == []
        cluster.trusted[keys.public] = "n1"
        await eventually(lambda: stranger.record.welcomes, "the welcome once it is trusted")


async def test_a_node_that_expects_another_head_never_talks_to_this_one():
    async with running_cluster() as cluster:
        node = cluster.node(head_key=generate_key_pair().public)
        await eventually(lambda: len(node.record.errors) > 1 and cluster.record.refusals, "the refusal")
        assert "another key than the one trusted here" in node.record.errors[0]
        assert "not encrypted for this head's key" in cluster.record.refusals[0][1]
        assert cluster.record.hellos == []
        assert node.record.reached == 0


async def test_a_withdrawn_key_ends_at_the_next_word():
    async with running_cluster() as cluster:
        node = await cluster.joined()
        cluster.trusted.clear()
        await eventually(lambda: any("not trusted any more" in why for _, why in cluster.record.refusals), "the end")
        await eventually(lambda: any("refuses this node's key" in error for error in node.record.errors), "its trouble")
        cluster.head.publish(changed(1))
        await anyio.sleep(0.1)
        assert node.record.events == []


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_from_a_stranger_harms_nobody(kind: str):
    async with running_cluster(BusLimits(handshake_s=0.5, heartbeat_s=0.1)) as cluster:
        node = await cluster.joined()
        for port in (cluster.head.port, cluster.head.events_port):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                stranger.sendall(GARBAGE[kind])
                stranger.settimeout(0)
                await eventually(lambda stranger=stranger: is_closed(stranger), "the end of the connection")
        await eventually(lambda: cluster.record.refusals, "the report")
        await still_serves(cluster, node)
        assert node.record.errors == []


def is_closed(stranger: socket.socket) -> bool:
    try:
        while stranger.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def test_a_recorded_conversation_is_worth_nothing():
    async with running_cluster() as cluster:
        with TcpProxy(cluster.head.port) as proxy:
            # Its events come from nowhere: only the proxy's port is used.
            node = await cluster.joined(port=proxy.port)
            for number in range(10):
                node.bus.send(started(number))
            await eventually(lambda: len(cluster.record.numbers()) == 10, "the messages")
            recorded = b"".join(proxy.recorded_to_server)
            node.end()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", cluster.head.port), timeout=5) as replay:
                replay.sendall(recorded)
                replay.settimeout(0)
                await eventually(lambda replay=replay: is_closed(replay), "the end of the replay")
        assert len(cluster.record.hellos) == 1
        assert cluster.record.numbers() == list(range(10))


async def test_a_flood_of_silent_connections_is_bounded_and_nodes_get_through():
    limits = BusLimits(max_unproven_connections=32, handshake_s=5.0, heartbeat_s=0.1)
    async with running_cluster(limits) as cluster:
        node = await cluster.joined()
        before = open_descriptors()
        with ExitStack() as stack:
            for number in range(300):
                stack.enter_context(socket.create_connection(("127.0.0.1", cluster.head.port), timeout=5))
                if number % 20 == 0:
                    await anyio.sleep(0.01)
            await eventually(lambda: open_descriptors() - before - 300 <= 32 + 8, "the cuts")
            second = await cluster.joined("n2")
            assert second.record.welcomes
            await still_serves(cluster, node)
            assert node.record.errors == []
        assert len(cluster.record.refusals) <= limits.max_refusals_logged_per_s * 10


async def test_a_flood_of_wrong_keys_is_told_a_few_times_a_second():
    async with running_cluster() as cluster:
        node = await cluster.joined()
        started_at = time.monotonic()
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(hostile_peer(cluster.head.port, generate_key_pair(), cluster.head_keys.public))
            await eventually(lambda: any("more refusals" in why for _, why in cluster.record.refusals), "the count")
            await still_serves(cluster, node)
        seconds = time.monotonic() - started_at
        # One line for the count of each second.
        assert len(cluster.record.refusals) <= (cluster.limits.max_refusals_logged_per_s + 1) * (seconds + 1)


async def test_the_events_are_for_trusted_keys_only():
    async with running_cluster() as cluster:
        with hostile_peer(cluster.head.events_port, generate_key_pair(), cluster.head_keys.public, zmq.SUB) as peer:
            peer.setsockopt(zmq.SUBSCRIBE, b"")
            await eventually(lambda: cluster.record.refusals, "the refusal")
            with pytest.raises(zmq.Again):
                peer.recv(zmq.NOBLOCK)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - an iterator would be one more
