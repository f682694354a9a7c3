"""An agent in a process of its own that counts: `python -m ... PORT PUBLIC SECRET HEAD_KEY`, keys as hexadecimal."""

import sys

import anyio

from tests.transports.cluster.bus_harness import FACTS, QUICK, NodeRecord, started
from transports.cluster.handshake import Hello
from transports.cluster.keys import KeyPair
from transports.cluster.node_bus import NodeBus


async def main() -> None:
    """Send a number each millisecond once the head welcomed us."""
    keys = KeyPair(bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]))
    record = NodeRecord()
    bus = NodeBus(
        "127.0.0.1",
        int(sys.argv[1]),
        keys,
        bytes.fromhex(sys.argv[4]),
        lambda: Hello(1, FACTS),
        observer=record,
        limits=QUICK,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.run)
        number = 0
        while True:
            await anyio.sleep(0.001)
            if record.welcomes:
                bus.send(started(number))
                number += 1


if __name__ == "__main__":
    anyio.run(main)
