"""Draining: everything, in order, in bounded pieces; errors of the consumer come out."""

import os
import socket
import struct

import anyio
import pytest

from supervisor.process.drain import READ_BYTES, drain

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


async def test_a_pipe_is_read_to_its_end_in_bounded_pieces() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    data, pieces = os.urandom(1_000_000), list[bytes]()

    def write() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(write_end, view) :]
        os.close(write_end)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, write)
            await drain(read_end, pieces.append)
    os.close(read_end)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= READ_BYTES


async def test_what_the_consumer_raises_comes_out() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"x")

    def refuse(_: bytes) -> None:
        raise ValueError("no")

    with anyio.fail_after(20), pytest.raises(ValueError, match="no"):
        await drain(read_end, refuse)
    os.close(read_end)
    os.close(write_end)


async def test_a_reset_connection_is_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.sendall(b"last words")
    received: list[bytes] = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, ours.fileno(), received.append)
            while not received:
                await anyio.lowlevel.checkpoint()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()
    ours.close()
    assert received == [b"last words"]


async def test_a_cancelled_drain_leaves_the_rest_to_the_next_one() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    received: list[bytes] = []
    with anyio.move_on_after(0.01):
        await drain(read_end, received.append)
    os.write(write_end, b"later")
    os.close(write_end)
    with anyio.fail_after(20):
        await drain(read_end, received.append)
    os.close(read_end)
    assert received == [b"later"]
