"""The cluster bus on loopback: how late a token is, how many a second, how long until all nodes know an event."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel

from scripts.benchmarks.row import Row, percentile, spread
from tests.transports.cluster.bus_harness import Cluster, changed, eventually, running_cluster
from transports.cluster.bus_limits import BusLimits
from transports.cluster.messages import FromNode, RankEvent
from transports.messages import TokenChunk

NAME = "bus"
_ROOT = Path(__file__).parents[2]
_NODES = 8


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield latency, rate, and fan-out."""
    latencies, _ = anyio.run(_tokens, 50 if quick else 2000, 0.002)
    yield Row(
        NAME,
        "one token, node -> head over the bus, p50",
        percentile(latencies, 50),
        "ms",
        0.5,
        len(latencies),
        "two processes, CURVE; stamp taken before it is queued, one token every 2 ms, read where the head acts on it",
        details=spread(latencies),
    )
    latencies, seconds = anyio.run(_tokens, 2000 if quick else 50_000, 0.0)
    yield Row(
        NAME,
        "tokens per second, one node -> head",
        len(latencies) / seconds,
        "tokens/s",
        None,
        len(latencies),
        "two processes, queued 100 in a turn of the loop, from the first to the last at the head",
    )
    spreads = anyio.run(_events, 5 if quick else 200)
    yield Row(
        NAME,
        f"one event, head -> the last of {_NODES} nodes, p50",
        percentile(spreads, 50),
        "ms",
        None,
        len(spreads),
        "all nodes in the head's process, so that their work counts, too",
        details=spread(spreads),
    )


async def _tokens(count: int, interval_s: float) -> tuple[list[float], float]:
    latencies: list[float] = []
    arrivals: list[float] = []

    def take(_node: str, message: FromNode) -> None:
        if isinstance(message, RankEvent) and isinstance(message.event, TokenChunk):
            now = time.monotonic_ns()
            latencies.append((now - int(message.event.text)) / 1e6)
            arrivals.append(now / 1e9)

    async with running_cluster(BusLimits()) as cluster:
        cluster.record.on_message = take
        agent = _start_agent(cluster, count, interval_s)
        try:
            await eventually(lambda: len(latencies) == count, "the last token")
        finally:
            agent.kill()
            agent.wait(timeout=10)
    return latencies, max(arrivals[-1] - arrivals[0], 1e-9)


def _start_agent(cluster: Cluster, count: int, interval_s: float) -> "subprocess.Popen[bytes]":
    keys = cluster.keys_for("n1")
    agent = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.bus_agent", str(cluster.head.port), str(count), str(interval_s)],
        stdin=subprocess.PIPE,
        cwd=_ROOT,
    )
    assert agent.stdin is not None
    agent.stdin.write(b"\n".join(key.hex().encode() for key in (keys.public, keys.secret, cluster.head_keys.public)))
    agent.stdin.close()
    return agent


async def _events(count: int) -> list[float]:
    async with running_cluster(BusLimits()) as cluster:
        nodes = [await cluster.joined(f"n{number}") for number in range(_NODES)]
        # The subscriptions travel on connections of their own.
        await anyio.sleep(0.3)
        spreads: list[float] = []
        for number in range(1, count + 1):
            published = time.monotonic()
            cluster.head.publish(changed(number))
            while any(len(node.record.events) < number for node in nodes):
                await anyio.lowlevel.checkpoint()
            spreads.append((time.monotonic() - published) * 1000)
        return spreads
