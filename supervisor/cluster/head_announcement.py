"""Lets nodes on the local network find a head. What they find is a hint; the keys decide."""

from ipaddress import ip_address

import anyio
from loguru import logger

from supervisor.cluster.head import Head
from supervisor.settings import Settings, is_loopback
from transports.cluster.announcement import FoundHead
from transports.cluster.discovery import DiscoveryError, announced
from transports.cluster.handshake import PROTOCOL_VERSION
from transports.cluster.keys import fingerprint


async def announce_head(settings: Settings, head: Head) -> None:
    """Announce the head until cancelled, unless only this machine can reach it. A network that refuses is no error."""
    if is_loopback(settings.bus_host):
        return
    said = FoundHead(
        cluster_id=head.identity.cluster_id,
        addresses=_addresses(settings.bus_host, head),
        port=head.bus.port,
        fingerprint=fingerprint(head.public_key),
        protocol_version=PROTOCOL_VERSION,
    )
    try:
        async with announced(said):
            await anyio.sleep_forever()
    except DiscoveryError as problem:
        logger.warning("nodes have to name this head's address: {}", problem)


def _addresses(bus_host: str, head: Head) -> tuple[str, ...]:
    try:
        if not ip_address(bus_host).is_unspecified:
            return (bus_host,)
    except ValueError:
        pass  # A name: its addresses are this machine's.
    return head.facts.addresses
