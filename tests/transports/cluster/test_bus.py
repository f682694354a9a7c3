"""Head and nodes over real sockets: hello, messages both ways, requests, events, and what happens when one restarts."""

import asyncio
import os
import sys

import anyio
import pytest

from tests.support.tcp_proxy import ProxyPair
from tests.transports.cluster.bus_harness import (
    FACTS,
    changed,
    eventually,
    ordered,
    running_cluster,
    started,
)
from transports.cluster.bus_errors import (
    BusCannotListen,
    BusFull,
    MessageTooLong,
    NodeGone,
    NodeUnknown,
    RequestTimedOut,
)
from transports.cluster.bus_limits import BusLimits
from transports.cluster.handshake import Hello, Refused
from transports.cluster.head_bus import HeadBus
from transports.cluster.messages import StartRank
from transports.cluster.requests import PortsReserved, ReservePorts
from transports.messages import Configure

CONFIGURE = Configure(0, 1, 1, "engine:Engine", "", "tensor", "none", 1, 1, 1.0)


async def test_a_node_says_hello_and_both_sides_talk_in_order():
    async with running_cluster() as cluster:
        # macOS has no second loopback address unless somebody made it.
        node = await cluster.joined("n1", from_address="127.0.0.2" if sys.platform == "linux" else "127.0.0.1")
        assert [name for name, _ in cluster.record.hellos] == ["n1"]
        for number in range(1000):
            node.bus.send(started(number))
            cluster.head.send("n1", ordered(number))
        await eventually(lambda: len(cluster.record.numbers()) == 1000, "the node's messages")
        await eventually(lambda: len(node.record.numbers()) == 1000, "the head's messages")
        assert cluster.record.numbers() == list(range(1000))
        assert node.record.numbers() == list(range(1000))
        assert node.record.errors == []


async def test_requests_are_answered_and_late_ones_end():
    async with running_cluster() as cluster:
        await cluster.joined()
        assert await cluster.head.request("n1", ReservePorts("a", 3), 5.0) == PortsReserved((0, 1, 2))
        with pytest.raises(RequestTimedOut, match="n1 did not answer ReservePorts within"):
            await cluster.head.request("n1", ReservePorts("a", 0), 0.1)
        with pytest.raises(NodeUnknown):
            await cluster.head.request("n2", ReservePorts("a", 1), 0.1)


async def test_a_request_ends_with_the_session():
    async with running_cluster() as cluster:
        await cluster.joined()
        asyncio.get_running_loop().call_later(0.05, cluster.head.forget, "n1")
        with pytest.raises(NodeGone, match="ended before it answered ReservePorts"):
            await cluster.head.request("n1", ReservePorts("a", 0), 10.0)


async def test_large_messages_travel_in_pieces():
    async with running_cluster() as cluster:
        node = await cluster.joined()
        text = "x" * 3_000_000
        order = StartRank(CONFIGURE, {}, {"hostfile": text}, "plan")
        cluster.head.send("n1", order)
        cluster.head.send("n1", ordered(1))
        await eventually(lambda: node.record.numbers() == [1], "the message after it")
        assert node.record.messages[0] == order


async def test_forgotten_nodes_say_hello_again():
    async with running_cluster() as cluster:
        node = await cluster.joined()
        cluster.head.forget("n1")
        with pytest.raises(NodeUnknown):
            cluster.head.send("n1", ordered(1))
        await eventually(lambda: len(node.record.welcomes) == 2, "the second welcome")
        assert len(cluster.record.hellos) == 2
        cluster.head.send("n1", ordered(2))
        await eventually(lambda: node.record.numbers() == [2], "a message of the new session")


async def test_a_node_that_is_refused_hears_why_and_tries_again_only_when_that_can_help():
    async with running_cluster() as cluster:
        cluster.record.decide = lambda node, hello: Refused("not you", "go away", permanent=True)
        node = cluster.node()
        await eventually(lambda: node.record.refusals, "the refusal")
        assert node.record.refusals == [Refused("not you", "go away", permanent=True)]
        cluster.record.decide = None
        await anyio.sleep(0.3)
        assert len(cluster.record.hellos) == 1
        node.bus.reconnect_now()
        await eventually(lambda: node.record.welcomes, "the welcome")


async def test_a_restarted_head_asks_for_a_hello_of_now():
    async with running_cluster() as cluster:
        hellos: list[Hello] = []

        def hello() -> Hello:
            hellos.append(Hello(1, FACTS, followed_epoch=len(hellos)))
            return hellos[-1]

        node = await cluster.joined(hello=hello)
        cluster.head.publish(changed(1))
        await eventually(lambda: node.record.events, "the event")
        await cluster.restart_head()
        node.bus.send(started(1))
        await eventually(lambda: len(node.record.welcomes) == 2, "the second welcome")
        assert cluster.record.hellos[-1] == ("n1", hellos[-1])
        node.bus.send(started(2))
        await eventually(lambda: 2 in cluster.record.numbers(), "what was sent after the welcome")
        assert cluster.record.numbers() in ([2], [1, 2])
        cluster.head.publish(changed(2))
        await eventually(lambda: len(node.record.events) == 2, "an event of the new head")
        assert node.record.lost_events == []


async def test_events_reach_everybody_and_those_who_were_cut_off_get_them_later():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            near = await cluster.joined("near")
            far = await cluster.joined("far", port=proxy.port)
            cluster.head.publish(changed(1))
            await eventually(lambda: len(near.record.events) == len(far.record.events) == 1, "the first event")
            proxy.cut(refuse=True)
            for number in range(2, 20):
                cluster.head.publish(changed(number))
            await eventually(lambda: len(near.record.events) == 19, "the events of the near one")
            await eventually(lambda: far.record.errors, "the far one's trouble")
            proxy.accept()
            await eventually(lambda: len(far.record.events) == 19, "the events of the far one")
            assert far.record.events == near.record.events
            assert [number for number, _ in far.record.events] == list(range(1, 20))
            assert len(far.record.welcomes) == 1


async def test_events_arrive_over_the_other_connection_when_theirs_is_dead():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.events.pause()
            for number in range(3):
                cluster.head.publish(changed(number))
            await eventually(lambda: len(node.record.events) == 3, "the events")


async def test_events_that_the_head_has_forgotten_are_named():
    limits = BusLimits(max_kept_events=4, heartbeat_s=0.1, node_silence_s=5.0, reconnect_s=0.02)
    async with running_cluster(limits) as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.cut(refuse=True)
            for number in range(10):
                cluster.head.publish(changed(number))
            proxy.accept()
            await eventually(lambda: len(node.record.events) == 4, "the last events")
            assert node.record.lost_events == [(1, 6)]
            assert [number for number, _ in node.record.events] == [7, 8, 9, 10]


async def test_the_newer_process_with_a_key_wins_and_the_older_is_told():
    async with running_cluster() as cluster:
        keys = cluster.keys_for("n1")
        older = await cluster.joined(keys=keys)
        newer = await cluster.joined(keys=keys)
        await eventually(lambda: older.record.refusals, "the refusal of the older")
        assert older.record.refusals[0].permanent
        older.bus.reconnect_now()
        await eventually(lambda: len(cluster.record.hellos) > 2 or len(older.record.refusals) > 1, "its second try")
        cluster.head.send("n1", ordered(1))
        await eventually(lambda: newer.record.numbers() == [1], "a message to the newer")
        assert len(newer.record.welcomes) == 1


async def test_a_node_that_does_not_keep_up_fills_its_own_queue_only():
    limits = BusLimits(max_unacknowledged_messages=10, heartbeat_s=0.1, node_silence_s=5.0)
    async with running_cluster(limits) as cluster:
        await cluster.joined("n1")
        other = await cluster.joined("n2")
        with pytest.raises(BusFull):
            for number in range(100):
                cluster.head.send("n1", ordered(number))
        cluster.head.send("n2", ordered(7))
        await eventually(lambda: other.record.numbers() == [7], "the message to the other")
        with pytest.raises(MessageTooLong):
            cluster.head.send("n2", StartRank(CONFIGURE, {}, {"f": "x" * limits.max_message_bytes}, "p"))


async def test_a_node_whose_head_does_not_keep_up_begins_a_new_session():
    limits = BusLimits(max_unacknowledged_messages=20, heartbeat_s=0.1, node_silence_s=5.0)
    async with running_cluster(limits) as cluster:
        node = await cluster.joined()
        for number in range(100):
            node.bus.send(started(number))
        await eventually(lambda: len(node.record.welcomes) == 2, "the new session")
        node.bus.send(started(1000))
        await eventually(lambda: 1000 in cluster.record.numbers(), "a message of it")


async def test_heartbeats_tell_distance_and_clocks():
    async with running_cluster() as cluster:
        node = await cluster.joined()
        await eventually(lambda: len(cluster.record.beats) > 5, "heartbeats")
        beat = cluster.record.beats[-1][1]
        assert beat.round_trip_s is not None
        assert beat.clock_offset_s is not None
        assert 0 < beat.round_trip_s < 1
        assert abs(beat.clock_offset_s) <= beat.round_trip_s
        assert node.bus.round_trip_s is not None
        assert node.bus.clock_offset_s is not None
        assert abs(node.bus.clock_offset_s) <= node.bus.round_trip_s


async def test_a_taken_port_is_an_error_of_its_own():
    async with running_cluster() as cluster:
        with pytest.raises(BusCannotListen, match=f"127.0.0.1, port {cluster.head.port}"):
            HeadBus("127.0.0.1", cluster.head.port, cluster.head_keys, cluster.trusted.get, cluster.record)
        with pytest.raises(BusCannotListen, match="no address of this machine"):
            HeadBus("no.such.host.invalid", 0, cluster.head_keys, cluster.trusted.get, cluster.record)


async def test_ipv6_works_where_the_machine_has_it():
    async with running_cluster() as cluster:
        try:
            head = HeadBus("::1", 0, cluster.head_keys, cluster.trusted.get, cluster.record)
        except BusCannotListen:
            pytest.skip("no IPv6 loopback here")
        head.close()
        assert head.is_closed


async def test_nothing_is_left_behind_when_it_ends():
    async with running_cluster() as cluster:
        await cluster.joined()
    before = open_descriptors()
    for _ in range(10):
        async with running_cluster() as cluster:
            await cluster.joined()
            cluster.head.send("n1", ordered(1))
    assert open_descriptors() <= before + 2


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - an iterator would be one more


async def test_a_head_that_turns_a_node_away_was_not_reached():
    """Else each refusal would end the node's outage, and the next begin another: its budget would never be used up."""
    async with running_cluster() as cluster:
        cluster.record.decide = lambda node, hello: Refused("not now", "Wait.", permanent=False)
        node = cluster.node()
        await eventually(lambda: len(node.record.refusals) >= 1, "the refusal")
        assert (node.record.reached, node.record.welcomes) == (0, [])
        cluster.record.decide = None
        await eventually(lambda: node.record.welcomes, "the welcome")
        assert node.record.reached > 0
