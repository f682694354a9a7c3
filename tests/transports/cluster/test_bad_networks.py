"""What a cable, a switch and a power switch do to the bus: nothing is lost, nothing comes twice, ends are noticed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from tests.support.tcp_proxy import ProxyPair
from tests.transports.cluster.bus_harness import (
    QUICK,
    Cluster,
    changed,
    eventually,
    ordered,
    running_cluster,
    started,
)
from transports.cluster.bus_limits import BusLimits

ROOT = Path(__file__).parents[3]


async def test_cut_connections_lose_and_repeat_nothing():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            chance = random.Random(7)
            for number in range(3000):
                node.bus.send(started(number))
                cluster.head.send("n1", ordered(number))
                if number % 10 == 0:
                    cluster.head.publish(changed(number))
                    await anyio.sleep(0.001)
                if chance.random() < 0.01:
                    proxy.cut()
                    await anyio.sleep(chance.random() * 0.03)
            await eventually(lambda: len(cluster.record.numbers()) == 3000, "the node's messages")
            await eventually(lambda: len(node.record.numbers()) == 3000, "the head's messages")
            await eventually(lambda: len(node.record.events) == 300, "the events")
            assert cluster.record.numbers() == node.record.numbers() == list(range(3000))
            assert [number for number, _ in node.record.events] == list(range(1, 301))
            assert len(node.record.welcomes) == len(cluster.record.hellos) == 1
            assert ("connected", "n1") in cluster.record.connections


async def test_a_closed_connection_is_told_at_once_and_so_is_its_return():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.cut(refuse=True)
            cut_at = time.monotonic()
            await eventually(lambda: cluster.record.connections == [("disconnected", "n1")], "the news")
            assert time.monotonic() - cut_at < 0.5
            node.bus.send(started(1))
            cluster.head.send("n1", ordered(1))
            await eventually(lambda: len(node.record.errors) > 3, "failed tries")
            proxy.accept()
            await eventually(lambda: cluster.record.numbers() == [1] and node.record.numbers() == [1], "what waited")
            assert cluster.record.connections == [("disconnected", "n1"), ("connected", "n1")]


async def test_a_stalled_connection_is_given_up_for_a_new_one():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.pause()
            node.bus.send(started(1))
            await eventually(lambda: any("silent" in error for error in node.record.errors), "the silence")
            proxy.resume()
            await eventually(lambda: cluster.record.numbers() == [1], "what waited")
            cluster.head.send("n1", ordered(2))
            await eventually(lambda: node.record.numbers() == [2], "the way back")
            assert len(node.record.welcomes) == 1


async def test_a_stall_shorter_than_the_silence_changes_nothing():
    async with running_cluster(BusLimits(heartbeat_s=0.1, node_silence_s=5.0, retransmit_s=0.05)) as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.pause()
            for number in range(50):
                node.bus.send(started(number))
                await anyio.sleep(0.01)
            proxy.resume()
            await eventually(lambda: len(cluster.record.numbers()) == 50, "what waited")
            assert cluster.record.numbers() == list(range(50))
            assert node.record.errors == []
            assert cluster.record.connections == []


async def test_bytes_that_vanish_are_sent_again_over_the_next_connection():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            node = await cluster.joined(port=proxy.port)
            proxy.nodes.drop()
            for number in range(20):
                node.bus.send(started(number))
                cluster.head.send("n1", ordered(number))
            await eventually(lambda: any("silent" in error for error in node.record.errors), "the silence")
            proxy.nodes.stop_dropping()
            await eventually(lambda: len(cluster.record.numbers()) == len(node.record.numbers()) == 20, "everything")
            assert cluster.record.numbers() == node.record.numbers() == list(range(20))


async def test_a_slow_line_keeps_the_order_and_shows_in_the_round_trip():
    async with running_cluster(BusLimits(heartbeat_s=0.1, node_silence_s=5.0, retransmit_s=0.1)) as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            proxy.delay(0.1)
            node = await cluster.joined(port=proxy.port)
            for number in range(200):
                node.bus.send(started(number))
                await anyio.sleep(0.002)
            await eventually(lambda: len(cluster.record.numbers()) == 200, "the messages")
            assert cluster.record.numbers() == list(range(200))
            await eventually(lambda: (cluster.record.beats or [(0, None)])[-1][1].round_trip_s, "a round trip")
            round_trip_s = cluster.record.beats[-1][1].round_trip_s
            assert round_trip_s is not None
            assert 0.2 <= round_trip_s < 2


async def test_a_head_that_is_not_there_is_told_in_words_for_each_try():
    async with running_cluster() as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            port = proxy.port
        node = cluster.node(port=port)
        await eventually(lambda: len(node.record.errors) >= 5, "errors")
        assert node.record.errors[0] == f"no connection to 127.0.0.1 port {port}: Connection refused"
        assert node.record.reached == 0


async def test_a_name_that_does_not_exist_and_an_address_that_is_not_ours_are_told():
    async with running_cluster() as cluster:
        nowhere = cluster.node(head="no.such.host.invalid")
        foreign = cluster.node("n2", from_address="192.0.2.1")
        await eventually(lambda: nowhere.record.errors and foreign.record.errors, "errors")
        assert "no.such.host.invalid" in nowhere.record.errors[0]
        assert "127.0.0.1" in foreign.record.errors[0]


async def test_a_head_is_found_by_its_name():
    async with running_cluster() as cluster:
        # On many machines the first address of this name is IPv6, where nobody listens.
        node = await cluster.joined(head="localhost")
        cluster.head.publish(changed(1))
        await eventually(lambda: node.record.events, "the event")


async def test_a_connection_that_is_accepted_and_never_answered_is_given_up():
    async with running_cluster(BusLimits(handshake_s=0.3, reconnect_s=0.02)) as cluster:
        with ProxyPair(cluster.head.port) as proxy:
            proxy.pause()
            node = cluster.node(port=proxy.port)
            await eventually(lambda: len(node.record.errors) >= 2, "errors")
            proxy.resume()
            await eventually(lambda: node.record.welcomes, "the welcome")


def start_agent(cluster: Cluster) -> subprocess.Popen[bytes]:
    """An agent n1 in a process of its own, which counts."""
    keys = cluster.keys_for("n1")
    arguments = [cluster.head.port, keys.public.hex(), keys.secret.hex(), cluster.head_keys.public.hex()]
    return subprocess.Popen([sys.executable, "-m", "tests.transports.cluster.agent", *map(str, arguments)], cwd=ROOT)


async def test_a_killed_agent_is_noticed_at_once():
    async with running_cluster() as cluster:
        agent = start_agent(cluster)
        try:
            await eventually(lambda: len(cluster.record.numbers()) > 10, "its messages")
            agent.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            await eventually(lambda: cluster.record.connections, "the news")
            assert time.monotonic() - killed_at < 0.3
            assert cluster.record.connections == [("disconnected", "n1")]
            numbers = cluster.record.numbers()
            assert numbers == list(range(len(numbers)))
        finally:
            agent.kill()
            agent.wait(timeout=10)


async def test_a_stopped_agent_is_silent_and_comes_back_with_its_session():
    async with running_cluster(QUICK) as cluster:
        agent = start_agent(cluster)
        try:
            await eventually(lambda: len(cluster.record.beats) > 2, "its heartbeats")
            agent.send_signal(signal.SIGSTOP)
            await anyio.sleep(0.3)
            quiet = len(cluster.record.beats)
            await anyio.sleep(0.5)
            assert len(cluster.record.beats) <= quiet + 1
            agent.send_signal(signal.SIGCONT)
            await eventually(lambda: len(cluster.record.beats) > quiet + 3, "its return")
            numbers = cluster.record.numbers()
            assert numbers == list(range(len(numbers)))
            assert len(cluster.record.hellos) == 1
        finally:
            agent.kill()
            agent.wait(timeout=10)


@pytest.mark.parametrize("nodes", [16])
async def test_a_head_restart_brings_everybody_back(nodes: int):
    async with running_cluster() as cluster:
        everybody = [cluster.node(f"n{number}") for number in range(nodes)]
        await eventually(lambda: all(node.record.welcomes for node in everybody), "the welcomes")
        await cluster.restart_head()
        await eventually(lambda: all(len(node.record.welcomes) == 2 for node in everybody), "the second welcomes")
        assert len(cluster.record.hellos) == nodes
