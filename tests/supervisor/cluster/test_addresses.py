"""Which address another node should try first, on the networks that people have."""

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.addresses import MAX_ADDRESSES, Interface, LinkKind, best_addresses, link_kind, read_interfaces

MAC_PORTS = {
    "en0": "Ethernet",
    "en1": "Wi-Fi",
    "en2": "Thunderbolt 1",
    "bridge0": "Thunderbolt Bridge",
    "en9": "USB LAN",
}
LOOPBACK = Interface("lo0", ("127.0.0.1", "::1", "fe80::1%lo0"))


def best(*interfaces: Interface, system: OperatingSystem = OperatingSystem.DARWIN) -> tuple[str, ...]:
    return best_addresses(interfaces, system, MAC_PORTS if system == OperatingSystem.DARWIN else {})


def test_a_mac_prefers_the_cable_then_the_wire_then_the_air():
    found = best(
        LOOPBACK,
        Interface("utun4", ("100.64.0.9",)),
        Interface("en1", ("192.168.1.21", "fe80::10%en1", "2001:db8::21")),
        Interface("en0", ("192.168.1.20",)),
        Interface("bridge0", ("10.0.0.1",)),
        Interface("awdl0", ("fe80::c0%awdl0", "10.9.9.9")),
    )
    assert found == ("10.0.0.1", "192.168.1.20", "192.168.1.21", "100.64.0.9", "2001:db8::21")


def test_a_cable_without_a_configured_address_comes_after_what_can_be_routed():
    assert best(Interface("en2", ("169.254.10.1",)), Interface("en1", ("192.168.1.21",))) == (
        "192.168.1.21",
        "169.254.10.1",
    )
    assert best(LOOPBACK, Interface("en2", ("169.254.10.1",))) == ("169.254.10.1",)


def test_linux_prefers_the_wire_and_leaves_containers_last():
    found = best(
        Interface("lo", ("127.0.0.1", "::1")),
        Interface("docker0", ("172.17.0.1",)),
        Interface("wlp2s0", ("192.168.1.31",)),
        Interface("enp1s0", ("192.168.1.30", "fe80::1%enp1s0")),
        Interface("thunderbolt0", ("10.0.0.3",)),
        system=OperatingSystem.LINUX,
    )
    assert found == ("10.0.0.3", "192.168.1.30", "192.168.1.31", "172.17.0.1")


def test_loopback_is_told_only_when_there_is_nothing_else():
    assert best(LOOPBACK) == ("127.0.0.1", "::1")
    assert best(LOOPBACK, Interface("en1", ("fe80::10%en1",))) == ("127.0.0.1", "::1")
    assert best() == ()


def test_what_is_no_address_of_a_node_is_left_out_and_there_is_a_limit():
    assert best(Interface("en0", ("", "0.0.0.0", "224.0.0.1", "nonsense", "10.0.0.1", "10.0.0.1"))) == ("10.0.0.1",)
    many = Interface("en0", tuple(f"10.0.1.{number}" for number in range(200)))
    assert best(many) == many.addresses[:MAX_ADDRESSES]


@pytest.mark.parametrize(
    ("name", "system", "kind"),
    [
        ("en9", OperatingSystem.DARWIN, LinkKind.WIRED),
        ("bridge100", OperatingSystem.DARWIN, LinkKind.VIRTUAL),
        ("ap1", OperatingSystem.DARWIN, None),
        ("llw0", OperatingSystem.DARWIN, None),
        ("ap1", OperatingSystem.LINUX, LinkKind.WIRED),
        ("br-5d1e", OperatingSystem.LINUX, LinkKind.VIRTUAL),
        ("bridge0", OperatingSystem.LINUX, LinkKind.WIRED),
        ("wlan0", OperatingSystem.LINUX, LinkKind.WIRELESS),
    ],
)
def test_kinds_of_links(name: str, system: OperatingSystem, kind: LinkKind | None):
    assert link_kind(name, system, MAC_PORTS if system == OperatingSystem.DARWIN else {}) == kind


def test_this_machine_has_a_loopback_interface_that_is_up():
    assert any("127.0.0.1" in interface.addresses for interface in read_interfaces())
