"""Reading a descriptor to its end, in bounded pieces, as fast as the writer writes."""

import os
from collections.abc import Callable

import anyio
import anyio.lowlevel

READ_BYTES = 64 * 1024


async def drain(fd: int, consume: Callable[[bytes], None]) -> None:
    """Give every piece read from a non-blocking descriptor to `consume`; return at end of file.

    `consume` runs on the event loop and must not block. A reset connection counts as end of file: what was written
    before it has been read. Cancel point; a cancelled drain has lost nothing that it read.
    """
    while True:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(fd)
            continue
        except ConnectionResetError:
            return
        if not data:
            return
        consume(data)
        if len(data) == READ_BYTES:
            # A child that floods one pipe must not starve the other pipes and timers.
            await anyio.lowlevel.checkpoint()
