"""A node of the bus benchmark: `python -m scripts.benchmarks.bus_agent PORT COUNT INTERVAL_S`, keys on its input."""

import sys
import time

import anyio
import anyio.lowlevel

from tests.transports.cluster.bus_harness import FACTS, NodeRecord
from transports.cluster.handshake import Hello
from transports.cluster.keys import KeyPair
from transports.cluster.messages import RankEvent
from transports.cluster.node_bus import NodeBus
from transports.messages import TokenChunk


async def main() -> None:
    """Send stamped tokens once welcome: one each interval, or as fast as it goes when that is 0."""
    public, secret, head_key = (bytes.fromhex(line) for line in sys.stdin.read().split())
    port, count, interval_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    record = NodeRecord()
    bus = NodeBus("127.0.0.1", port, KeyPair(public, secret), head_key, lambda: Hello(1, FACTS), observer=record)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.run)
        while not record.welcomes:  # noqa: ASYNC110 - the record of the tests knows no event
            await anyio.sleep(0.01)
        for number in range(count):
            bus.send(RankEvent(1, 0, TokenChunk("task", number, 1, str(time.monotonic_ns()))))
            if interval_s:
                await anyio.sleep(interval_s)
            elif number % 100 == 99:
                await anyio.lowlevel.checkpoint()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
