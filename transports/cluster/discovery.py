"""Heads announce themselves on the local network by multicast DNS, and nodes find them (zeroconf, DNS-SD).

Anybody on the network can announce anything: nothing that is found here is trusted, and nothing makes this fail.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from zeroconf import Error as ZeroconfError
from zeroconf import InterfaceChoice, IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from transports.cluster.announcement import (
    SERVICE_TYPE,
    FoundHead,
    instance_name,
    may_be_head,
    properties_of,
    read_announcement,
)

_CLOSE_TIMEOUT_S = 3.0
_OTHERS_MAY_ANSWER_S = 0.5


class DiscoveryError(Exception):
    """The local network cannot be searched, or told; `remedy` says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.remedy = "Name the head's address instead: ringwarden join ADDRESS"


@asynccontextmanager
async def announced(head: FoundHead, *, interfaces: Sequence[str] | None = None) -> AsyncGenerator[None, None]:
    """Announce a head for as long as the context lasts; those who look see it go when it ends.

    Should somebody else use its name, it takes the next one: nobody can keep a head from being announced. Entering
    takes about two seconds, beside which other work goes on: the name is asked for first, then said three times.

    Args:
        head: What to say.
        interfaces: Addresses of the interfaces to say it on; None means all.

    Raises:
        DiscoveryError: It cannot be said on any.
    """
    async with _zeroconf(interfaces) as responder:
        info = AsyncServiceInfo(
            SERVICE_TYPE,
            instance_name(head.fingerprint),
            port=head.port,
            properties=properties_of(head),
            parsed_addresses=list(head.addresses),
        )
        try:
            sending = await responder.async_register_service(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                info, allow_name_change=True
            )
            await sending
        except (ZeroconfError, OSError) as problem:
            raise DiscoveryError(f"the head cannot be announced on the local network: {problem!r}") from problem
        yield


async def browse(
    timeout_s: float,
    *,
    fingerprint: str | None = None,
    interfaces: Sequence[str] | None = None,
    max_names: int = 64,
) -> tuple[FoundHead, ...]:
    """Return the heads that announce themselves, each once. They are hints: connect only with the key that is trusted.

    Args:
        timeout_s: How long to look; with a fingerprint, at most.
        fingerprint: Only a head whose key has this one, and as soon as it is found. More than one can claim it.
        interfaces: Addresses of the interfaces to look on; None means all.
        max_names: So many announcements are looked at; the others are not.

    Raises:
        DiscoveryError: The network cannot be searched.
    """
    found: dict[FoundHead, None] = {}
    names, new_names = anyio.create_memory_object_stream[str](max_names)
    async with _zeroconf(interfaces) as searcher, names, new_names:
        browser = AsyncServiceBrowser(
            searcher.zeroconf, SERVICE_TYPE, handlers=[_NameCollector(names, fingerprint, max_names)]
        )
        try:
            with anyio.move_on_after(timeout_s):
                await _resolve_all(searcher, new_names, fingerprint, found, timeout_s)
        finally:
            with anyio.CancelScope(shield=True):
                await browser.async_cancel()
    return tuple(found)


class _NameCollector:
    """Takes what the browser hears, each name once, and no more than it may."""

    def __init__(self, names: MemoryObjectSendStream[str], fingerprint: str | None, max_names: int) -> None:
        self._names = names
        self._fingerprint = fingerprint
        self._max_names = max_names
        self._seen: set[str] = set()

    def __call__(self, name: str, state_change: ServiceStateChange, **_others: Any) -> None:
        if state_change is ServiceStateChange.Removed or name in self._seen or len(self._seen) >= self._max_names:
            return
        if may_be_head(name, self._fingerprint):
            self._seen.add(name)
            self._names.send_nowait(name)


async def _resolve_all(
    searcher: AsyncZeroconf,
    new_names: MemoryObjectReceiveStream[str],
    fingerprint: str | None,
    found: dict[FoundHead, None],
    timeout_s: float,
) -> None:
    gives_up_at = time.monotonic() + timeout_s

    async def resolve(name: str) -> None:
        head = await _head_behind(searcher, name, gives_up_at)
        if head is not None and fingerprint in (None, head.fingerprint):
            found[head] = None
            if fingerprint is not None:
                # Not at once: an impostor who answers first must not hide the head.
                await anyio.sleep(_OTHERS_MAY_ANSWER_S)
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        async for name in new_names:
            tasks.start_soon(resolve, name)


async def _head_behind(searcher: AsyncZeroconf, name: str, gives_up_at: float) -> FoundHead | None:
    try:
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        remaining_ms = max(0.0, gives_up_at - time.monotonic()) * 1000
        if not await info.async_request(searcher.zeroconf, remaining_ms):
            return None
        return read_announcement(info.properties, info.port)
    except (ZeroconfError, ValueError, OSError):
        # Somebody's broken announcement is no reason not to find the others.
        return None


@asynccontextmanager
async def _zeroconf(interfaces: Sequence[str] | None) -> AsyncGenerator[AsyncZeroconf, None]:
    try:
        opened = AsyncZeroconf(
            interfaces=InterfaceChoice.All if interfaces is None else list(interfaces), ip_version=IPVersion.V4Only
        )
    except (ZeroconfError, OSError, RuntimeError) as problem:
        raise DiscoveryError(f"multicast DNS cannot be used on this machine: {problem}") from problem
    try:
        yield opened
    finally:
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await opened.async_close()
