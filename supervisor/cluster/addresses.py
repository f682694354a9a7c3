"""At which addresses other nodes may reach this one, the best first.

MLX's ring takes IPv4 addresses only (measured with MLX 0.32.4: "Can't parse address [::1]:25811"), so those come before
any IPv6 one. Among them a cable between two Macs beats the local network, and that beats Wi-Fi; tunnels and the bridges
of virtual machines come last: their other end is rarely a node.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from enum import IntEnum

import msgspec
import psutil

from diagnostics.evidence import OperatingSystem

MAX_ADDRESSES = 16

_NEVER_A_NODE = re.compile(r"(?:awdl|llw|anpi|ap)\d")
"""AirDrop, low-latency Wi-Fi, the Mac's own processors, and its access point."""

_VIRTUAL = re.compile(
    r"utun|tun|tap|wg|ipsec|gif|stf|docker|veth|virbr|vmnet|br-|lxc|cni|flannel|cali|tailscale|zt|feth"
)


class LinkKind(IntEnum):
    """How good a link to another node is, the best first."""

    THUNDERBOLT = 0
    WIRED = 1
    WIRELESS = 2
    VIRTUAL = 3
    LOOPBACK = 4


class Interface(msgspec.Struct, frozen=True):
    """One network interface that is up, with its addresses as the system writes them."""

    name: str
    addresses: tuple[str, ...]


def read_interfaces() -> tuple[Interface, ...]:
    """Return the interfaces that are up and have IP addresses. Blocks for a system call."""
    states = psutil.net_if_stats()
    families = (socket.AF_INET, socket.AF_INET6)
    return tuple(
        Interface(name, tuple(entry.address for entry in entries if entry.family in families))
        for name, entries in psutil.net_if_addrs().items()
        if name in states and states[name].isup
    )


def best_addresses(
    interfaces: tuple[Interface, ...], system: OperatingSystem, hardware_ports: Mapping[str, str]
) -> tuple[str, ...]:
    """Return at most 16 addresses, the best first; loopback ones only when there is nothing else.

    IPv6 addresses that hold on one link only are left out: their scope is this node's name for the link. IPv4 ones are
    kept, after those that can be routed: a Thunderbolt cable may have no other.

    Args:
        interfaces: Those that are up.
        system: Whose names they have.
        hardware_ports: What macOS calls each interface's hardware, by interface; empty elsewhere.
    """
    ranked: list[tuple[tuple[int, ...], str]] = []
    for interface in interfaces:
        kind = link_kind(interface.name, system, hardware_ports)
        for text in interface.addresses if kind is not None else ():
            address = _address(text)
            if address is None or (address.version == 6 and address.is_link_local):
                continue
            rank = (
                kind == LinkKind.LOOPBACK or address.is_loopback,
                address.version,
                kind == LinkKind.VIRTUAL,
                address.is_link_local,
                kind or 0,
            )
            ranked.append((tuple(map(int, rank)), str(address)))
    ranked.sort(key=lambda entry: entry[0])
    alone = all(rank[0] for rank, _ in ranked)
    found = dict.fromkeys(address for rank, address in ranked if alone or not rank[0])
    return tuple(found)[:MAX_ADDRESSES]


def link_kind(name: str, system: OperatingSystem, hardware_ports: Mapping[str, str]) -> LinkKind | None:
    """Return what kind of link an interface is, None for one that never leads to a node."""
    if name.startswith("lo"):
        return LinkKind.LOOPBACK
    if _NEVER_A_NODE.match(name) and system == OperatingSystem.DARWIN:
        return None
    if name.startswith("thunderbolt") or hardware_ports.get(name, "").startswith("Thunderbolt"):
        return LinkKind.THUNDERBOLT
    if system == OperatingSystem.DARWIN and name == "bridge0":
        return LinkKind.THUNDERBOLT
    if _VIRTUAL.match(name) or (system == OperatingSystem.DARWIN and name.startswith("bridge")):
        return LinkKind.VIRTUAL
    if name.startswith("wl") or hardware_ports.get(name) == "Wi-Fi":
        return LinkKind.WIRELESS
    return LinkKind.WIRED


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_unspecified or address.is_multicast else address
