"""What lies between machines: proxies in the way, the links that a ring can take, RDMA."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.addresses import LinkKind, link_kind, read_interfaces
from supervisor.cluster.inventory import LINUX_RDMA, linux_rdma
from supervisor.cluster.mac_hardware import hardware_ports, rdma_devices, unconnected_interfaces
from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.doctor.system_tool import ToolAnswer, ask_tool
from supervisor.exit_code import ExitCode
from supervisor.settings import Settings

PROXY, LINKS, RDMA = "proxy", "ring-links", "rdma"
_PROXIES = ("http_proxy", "all_proxy")
"""Those that a client's plain HTTP request to a daemon can go through."""


class Link(msgspec.Struct, frozen=True):
    """One interface that is up and may lead to a node, with its IPv4 addresses: the ring takes no others."""

    name: str
    kind: LinkKind
    addresses: tuple[str, ...]


class RdmaFacts(msgspec.Struct, frozen=True):
    """RDMA devices by name and whether each is up; on macOS also what `rdma_ctl` says, None elsewhere."""

    devices: Mapping[str, bool]
    control: ToolAnswer | None = None
    problem: str | None = None


def judge_proxies(environment: Mapping[str, str], host: str) -> Finding:
    """Judge whether a client in this environment would send requests for `host` to a proxy. Passwords are not shown."""
    lowered = {name.lower(): value for name, value in environment.items() if value}
    found = {name: lowered[name] for name in _PROXIES if name in lowered}
    if not found:
        return ok(PROXY, "neither HTTP_PROXY nor ALL_PROXY is set")
    evidence = [f"{name.upper()} is {_without_secrets(value)}" for name, value in found.items()]
    exceptions = lowered.get("no_proxy", "")
    evidence.append(f"NO_PROXY is {exceptions or 'not set'}")
    if _is_excepted(host, exceptions):
        return ok(PROXY, *evidence)
    return warning(
        PROXY,
        evidence,
        f"Clients here may send requests for {host} to the proxy, which cannot reach it. Ringwarden's commands do not.",
        f"export NO_PROXY={','.join(filter(None, [exceptions, 'localhost', host]))}",
    )


def read_links(system: OperatingSystem) -> tuple[Link, ...]:
    """Return the links that are up and lead somewhere. Blocks for two commands on macOS."""
    on_mac = system is OperatingSystem.DARWIN
    ports = hardware_ports(ask_tool("networksetup", "-listallhardwareports").output or "") if on_mac else {}
    unconnected = unconnected_interfaces(ask_tool("ifconfig").output or "") if on_mac else frozenset[str]()
    interfaces = (one for one in read_interfaces() if one.name not in unconnected)
    found = ((one, link_kind(one.name, system, ports)) for one in interfaces)
    return tuple(
        Link(one.name, kind, tuple(address for address in one.addresses if ":" not in address))
        for one, kind in found
        if kind is not None
    )


def judge_links(
    links: tuple[Link, ...], rdma: Mapping[str, bool], *, in_cluster: bool, system: OperatingSystem
) -> Finding:
    """Judge the best link that a ring between machines could take.

    Args:
        links: Those that are up.
        rdma: Whether each RDMA device is up. `rdma_en2` is that of `en2`, which then needs no address: JACCL has it.
        in_cluster: Whether other machines are meant to take part.
        system: Whose words the remedy is in.
    """
    usable = sorted((one for one in links if one.addresses and one.kind < LinkKind.VIRTUAL), key=lambda one: one.kind)
    evidence = [f"{one.kind.name.lower()} {one.name}: {', '.join(one.addresses)}" for one in usable]
    if not in_cluster:
        return skipped(LINKS, "No other machine is meant to take part.", *evidence)
    mute = [
        one.name
        for one in links
        if one.kind is LinkKind.THUNDERBOLT and not one.addresses and not rdma.get(f"rdma_{one.name}", False)
    ]
    if not usable:
        return failed(
            LINKS,
            ["no interface that leads to other machines has an IPv4 address"],
            "No ring over several machines can be formed.",
            "Connect a cable, or join a network.",
            ExitCode.UNAVAILABLE,
        )
    if usable[0].kind is not LinkKind.THUNDERBOLT and mute:
        return warning(
            LINKS,
            [*evidence, f"{', '.join(mute)} is up without an IPv4 address"],
            "A Thunderbolt link is there, but the ring cannot use it.",
            "System Settings, Network, Thunderbolt Bridge: Configure IPv4, Using DHCP or an address of your own."
            if system is OperatingSystem.DARWIN
            else "Give the interface an IPv4 address.",
        )
    if usable[0].kind is LinkKind.WIRELESS:
        diagnosis = "The ring would go over Wi-Fi, which is slow and loses connections."
        return warning(LINKS, evidence, diagnosis, "Connect the machines with a Thunderbolt or network cable.")
    return ok(LINKS, *evidence)


def read_rdma(system: OperatingSystem) -> RdmaFacts:
    """Return the RDMA devices. Blocks for two commands on macOS."""
    if system is OperatingSystem.LINUX:
        return RdmaFacts({device.name: device.is_up for device in linux_rdma(LINUX_RDMA)})
    told = ask_tool("ibv_devinfo")
    return RdmaFacts(rdma_devices(told.output or ""), ask_tool("rdma_ctl", "status"), told.problem)


def judge_rdma(facts: RdmaFacts, settings: Settings, system: OperatingSystem) -> Finding:
    """Judge whether JACCL could start; that it cannot is a fault only where it was asked for."""
    evidence = [f"{name} is {'up' if is_up else 'down'}" for name, is_up in facts.devices.items()]
    if facts.control is not None:
        evidence.append(f"rdma_ctl: {facts.control.output or facts.control.problem}")
    if not facts.devices:
        evidence.append(facts.problem or "no RDMA device is there")
    is_off = facts.control is not None and "disabled" in (facts.control.output or "")
    if any(facts.devices.values()) and not is_off:
        return ok(RDMA, *evidence)
    if settings.backend != "jaccl":
        why = "RDMA is not ready, and nothing asks for JACCL (--backend jaccl): the ring is used."
        return skipped(RDMA, why, *evidence)
    on_mac = "Start into recovery, type `rdma_ctl enable` in its terminal; connect Thunderbolt 5 cables (macOS 26.2)."
    remedy = (
        on_mac if system is OperatingSystem.DARWIN else "Load the drivers of an RDMA device, or use --backend ring."
    )
    return failed(RDMA, evidence, "JACCL cannot start: no RDMA device is up.", remedy, ExitCode.UNAVAILABLE)


def _without_secrets(url: str) -> str:
    """A proxy's address without user and password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "set, but no URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def _is_excepted(host: str, exceptions: str) -> bool:
    """As clients read NO_PROXY: names, with all that end in them, and `*` for everything."""
    names = [one.strip().lower().removeprefix(".") for one in exceptions.split(",") if one.strip()]
    return any(name in ("*", host.lower()) or host.lower().endswith(f".{name}") for name in names)
