"""Work beside watchers: the shape of every wait for a runner that a client may walk away from."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.types import Receive

from transports.http.request_body import ClientGone

T = TypeVar("T")


async def run_beside(work: Callable[[], Awaitable[T]], *companions: Callable[[], Awaitable[None]]) -> T:
    """Return what `work` returns, and cancel the companions then. An exception of `work` comes out bare.

    A companion that returns before `work` ends cancels it.

    Raises:
        ClientGone: When a companion ended the work.
    """
    result: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def watch(companion: Callable[[], Awaitable[None]]) -> None:
            await companion()
            group.cancel_scope.cancel()

        for companion in companions:
            group.start_soon(watch, companion)
        try:
            result.append(await work())
        except Exception as exc:  # noqa: BLE001 - raised again below, outside of the group that would wrap it.
            failure = exc
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not result:
        raise ClientGone
    return result[0]


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has closed its connection. The request body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
