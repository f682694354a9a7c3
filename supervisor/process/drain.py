"""Reading a descriptor to its end, in bounded pieces, as fast as the writer writes."""

import asyncio
import os
from collections.abc import Callable

READ_BYTES = 64 * 1024


async def drain(fd: int, consume: Callable[[bytes], None]) -> None:
    """Give every piece read from a non-blocking descriptor to `consume`; return at end of file.

    `consume` is called by the event loop itself, without a task to be woken first, and must not block; what it raises
    comes out of here. One piece is read for each turn of the loop, so a child that floods one pipe starves no other
    pipe and no timer. A reset connection counts as end of file: what was written before it has been read. Cancel
    point; a cancelled drain has lost nothing that it read. Needs asyncio.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        try:
            data = os.read(fd, READ_BYTES)
            if data:
                consume(data)
                return
        except BlockingIOError:
            return
        except ConnectionResetError:
            pass
        except Exception as exc:  # noqa: BLE001 - raised again by the one who waits
            _settle(ended, exc)
        _settle(ended, None)
        loop.remove_reader(fd)

    loop.add_reader(fd, on_readable)
    try:
        await ended
    finally:
        loop.remove_reader(fd)


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
