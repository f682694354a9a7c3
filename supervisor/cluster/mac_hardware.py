"""What macOS tells of its cables: hardware ports, Thunderbolt domains, RDMA devices. Readers of what commands print.

The words are those of `ibv_devinfo` (Apple TN3205), `ifconfig`, `networksetup -listallhardwareports` and
`system_profiler SPThunderboltDataType -json` (as `mlx.distributed_config` of MLX 0.32.4 reads the last two). All of it
may be absent or strange: what is not understood is left out.
"""

import re
from collections.abc import Mapping

import msgspec

from transports.cluster.node_facts import RdmaDevice

MAX_DEVICES = 64
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_INTERFACE_LINE = re.compile(r"(\S+): flags=")
_DEVINFO_LINE = re.compile(r"\s*(hca_id|state):\s*(\S+)")


class _Receptacle(msgspec.Struct, frozen=True):
    receptacle_id_key: str


class _Neighbour(msgspec.Struct, frozen=True):
    domain_uuid_key: str | None = None


class _Bus(msgspec.Struct, frozen=True, rename={"items": "_items"}):
    domain_uuid_key: str | None = None
    receptacle_1_tag: _Receptacle | None = None
    items: tuple[_Neighbour, ...] = ()


class _ThunderboltReport(msgspec.Struct, frozen=True):
    buses: tuple[msgspec.Raw, ...] = msgspec.field(name="SPThunderboltDataType", default=())


class ThunderboltLink(msgspec.Struct, frozen=True):
    """One Thunderbolt port: its own domain, and the domain at the other end of the cable."""

    domain: str
    peer_domain: str | None


def hardware_ports(listing: str) -> dict[str, str]:
    """Return the hardware's name by interface, `Thunderbolt 1` by `en2`, from `networksetup -listallhardwareports`."""
    found: dict[str, str] = {}
    port = None
    for line in listing.splitlines():
        key, _, value = line.partition(": ")
        if key == "Hardware Port":
            port = value.strip()
        elif key == "Device" and port is not None and len(found) < MAX_DEVICES:
            found[value.strip()] = port
            port = None
    return found


def unconnected_interfaces(listing: str) -> frozenset[str]:
    """Return the interfaces that nothing is plugged into, from what `ifconfig` prints.

    macOS calls a Thunderbolt port up and running all the same.
    """
    found: set[str] = set()
    name = ""
    for line in listing.splitlines():
        match = _INTERFACE_LINE.match(line)
        if match is not None:
            name = match[1]
        elif line.strip() == "status: inactive" and len(found) < MAX_DEVICES:
            found.add(name)
    return frozenset(found)


def rdma_devices(devinfo: str) -> dict[str, bool]:
    """Return whether each RDMA device is up, from what `ibv_devinfo` prints."""
    found: dict[str, bool] = {}
    device = None
    for line in devinfo.splitlines():
        match = _DEVINFO_LINE.match(line)
        if match is None:
            continue
        if match[1] == "hca_id":
            device = match[2] if _DEVICE_NAME.fullmatch(match[2]) and len(found) < MAX_DEVICES else None
            if device is not None:
                found[device] = False
        elif device is not None and match[2] == "PORT_ACTIVE":
            found[device] = True
    return found


def thunderbolt_links(report: bytes) -> dict[str, ThunderboltLink]:
    """Return the Thunderbolt ports by the number on their receptacle, from what `system_profiler` reports as JSON."""
    found: dict[str, ThunderboltLink] = {}
    for bus in _buses(report)[:MAX_DEVICES]:
        if bus.domain_uuid_key is None or bus.receptacle_1_tag is None:
            continue
        # A dock or a disk has no domain of its own; another computer has.
        peers = (neighbour.domain_uuid_key for neighbour in bus.items if neighbour.domain_uuid_key is not None)
        found[bus.receptacle_1_tag.receptacle_id_key] = ThunderboltLink(bus.domain_uuid_key, next(peers, None))
    return found


def _buses(report: bytes) -> list[_Bus]:
    try:
        raw = msgspec.json.decode(report, type=_ThunderboltReport).buses
    except (msgspec.MsgspecError, RecursionError):
        return []
    understood: list[_Bus] = []
    for bus in raw:
        try:
            understood.append(msgspec.json.decode(bus, type=_Bus))
        except msgspec.MsgspecError:
            continue
    return understood


def joined(
    devices: Mapping[str, bool], ports: Mapping[str, str], links: Mapping[str, ThunderboltLink]
) -> tuple[RdmaDevice, ...]:
    """Return the RDMA devices with the Thunderbolt domains at both ends of their cable.

    `rdma_en2` is the device of the interface `en2`, whose hardware `Thunderbolt 1` is the receptacle 1.
    """
    found: list[RdmaDevice] = []
    for name, is_up in devices.items():
        receptacle = ports.get(name.removeprefix("rdma_"), "").removeprefix("Thunderbolt ")
        link = links.get(receptacle)
        found.append(
            RdmaDevice(
                name,
                is_up,
                domain=None if link is None else link.domain,
                peer_domain=None if link is None else link.peer_domain,
            )
        )
    return tuple(found)
