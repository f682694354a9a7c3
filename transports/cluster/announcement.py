"""What a head says about itself on the local network, and the strict reading of what anybody may say there.

Found heads are hints. They tell a node where to try; whether it is the right head, only the key proves.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence

import msgspec

SERVICE_TYPE = "_ringwarden._tcp.local."
_MAX_ADDRESSES_BYTES = 240
"""A text record's entries have 255 bytes at most (RFC 6763, section 6.1), name included."""

_CLUSTER_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_FINGERPRINT = re.compile(rb"(?:[0-9a-f]{4}-){4}[0-9a-f]{4}")
_ADDRESSES = re.compile(rb"[0-9a-f.:,]{1,255}")
_PROTOCOL = re.compile(rb"[1-9][0-9]{0,4}")


class FoundHead(msgspec.Struct, frozen=True):
    """A head as it announces itself, which nobody has checked.

    Args:
        cluster_id: Its cluster.
        addresses: Where it may be reached, the best first; as many as fit are announced.
        port: Of its bus.
        fingerprint: Of its key: worth a try only if it is that of the key which is trusted as `head`.
        protocol_version: What it speaks.
    """

    cluster_id: str
    addresses: tuple[str, ...]
    port: int
    fingerprint: str
    protocol_version: int


def properties_of(head: FoundHead) -> dict[str, str]:
    """Return what goes into the service's text record.

    The addresses are in it too: address records have no order, and those of two services with one name get mixed.
    """
    return {
        "cluster": head.cluster_id,
        "key": head.fingerprint,
        "protocol": str(head.protocol_version),
        "addresses": _joined(head.addresses),
    }


def _joined(addresses: Sequence[str]) -> str:
    joined = ""
    for address in addresses:
        longer = f"{joined},{address}" if joined else address
        if len(longer) > _MAX_ADDRESSES_BYTES:
            break
        joined = longer
    return joined


def instance_name(fingerprint: str) -> str:
    """Return the service name of the head with that key: those who look for it need not ask any other."""
    return f"{fingerprint}.{SERVICE_TYPE}"


def may_be_head(name: str, fingerprint: str | None) -> bool:
    """Return whether a service of that name can be the head with that key (any head, for None).

    The library adds a number to a name that somebody else already uses.
    """
    if not name.endswith("." + SERVICE_TYPE):
        return False
    instance = name.removesuffix("." + SERVICE_TYPE)
    claimed = re.fullmatch(rf"({_FINGERPRINT.pattern.decode()})(?:-[0-9]{{1,4}})?", instance)
    return claimed is not None and fingerprint in (None, claimed[1])


def read_announcement(properties: Mapping[bytes, bytes | None], port: int | None) -> FoundHead | None:
    """Return the head that a service's records describe; None when anything in them is missing or not as it must be.

    Args:
        properties: The text record. Addresses in it that no other machine could reach are dropped.
        port: Of the service record.
    """
    cluster_id = _matching(_CLUSTER_ID, properties.get(b"cluster"))
    fingerprint = _matching(_FINGERPRINT, properties.get(b"key"))
    protocol = _matching(_PROTOCOL, properties.get(b"protocol"))
    addresses = _usable(_matching(_ADDRESSES, properties.get(b"addresses")) or "")
    if cluster_id is None or fingerprint is None or protocol is None or not addresses:
        return None
    if port is None or not 0 < port <= 65_535:
        return None
    return FoundHead(cluster_id, addresses, port, fingerprint, int(protocol))


def _matching(pattern: re.Pattern[bytes], value: bytes | None) -> str | None:
    return value.decode("ascii") if value is not None and pattern.fullmatch(value) else None


def _usable(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for part in text.split(","):
        try:
            address = ipaddress.ip_address(part)
        except ValueError:
            continue
        if not (address.is_unspecified or address.is_multicast or (address.version == 6 and address.is_link_local)):
            found[str(address)] = None
    return tuple(found)
