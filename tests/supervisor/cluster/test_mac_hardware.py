"""What macOS prints about its cables, made up in its form; and who is at the other end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.cluster.inventory import read_facts
from supervisor.cluster.mac_hardware import (
    MAX_DEVICES,
    ThunderboltLink,
    hardware_ports,
    joined,
    rdma_devices,
    thunderbolt_links,
)
from supervisor.core.rdma_peers import with_rdma_peers
from transports.cluster.node_facts import NodeFacts, RdmaDevice

PORTS = """
Hardware Port: Ethernet
Device: en0
Ethernet Address: 00:00:5e:00:53:01

Hardware Port: Thunderbolt 1
Device: en2
Ethernet Address: 00:00:5e:00:53:02

Hardware Port: Wi-Fi
Device: en1
Ethernet Address: 00:00:5e:00:53:03

VLAN Configurations
===================
"""
DEVINFO = """hca_id:\trdma_en2
\ttransport:\t\t\tThunderbolt (100)
\t\tport:\t1
\t\t\tstate:\t\t\tPORT_ACTIVE (4)
\t\t\tmax_mtu:\t\t4096 (5)

hca_id:\trdma_en3
\t\tport:\t1
\t\t\tstate:\t\t\tPORT_DOWN (1)
"""


def bus(domain: str | None, receptacle: str, *peers: str | None) -> dict[str, Any]:
    items = [{"_name": "Mac", **({} if peer is None else {"domain_uuid_key": peer})} for peer in peers]
    return {
        "_name": "thunderboltusb4_bus_1",
        "device_name_key": "Mac mini",
        **({} if domain is None else {"domain_uuid_key": domain}),
        "receptacle_1_tag": {"receptacle_id_key": receptacle, "current_speed_key": "80 Gb/s"},
        **({"_items": items} if items else {}),
    }


def report(*buses: object) -> bytes:
    return json.dumps({"SPThunderboltDataType": buses}).encode()


def test_hardware_ports_are_named():
    assert hardware_ports(PORTS) == {"en0": "Ethernet", "en2": "Thunderbolt 1", "en1": "Wi-Fi"}
    assert hardware_ports("Device: en0\nHardware Port: alone\n") == {}


def test_rdma_devices_are_up_when_a_port_is_active():
    assert rdma_devices(DEVINFO) == {"rdma_en2": True, "rdma_en3": False}
    assert rdma_devices("No IB devices found\n") == {}
    assert rdma_devices("state: PORT_ACTIVE (4)\n") == {}
    assert len(rdma_devices("".join(f"hca_id: rdma_en{number}\n" for number in range(500)))) == MAX_DEVICES


def test_thunderbolt_links_tell_the_domains_of_both_ends():
    found = thunderbolt_links(
        report(bus("A1", "1", None, "B1"), bus("A2", "2"), bus(None, "3", "C1"), {"_name": "strange"}, "stranger")
    )
    assert found == {"1": ThunderboltLink("A1", "B1"), "2": ThunderboltLink("A2", None)}


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"{", b'{"SPThunderboltDataType": 3}', b"[" * 100_000, b"\xff"])
def test_a_strange_report_has_no_links(text: bytes):
    assert thunderbolt_links(text) == {}


@given(st.text(alphabet="Hardwe PotDvic:\n\t12_hca_idstePORT_ACTIVE"), st.binary())
def test_whatever_commands_print_gives_a_bounded_answer(text: str, output: bytes):
    assert len(hardware_ports(text)) <= MAX_DEVICES
    assert len(rdma_devices(text)) <= MAX_DEVICES
    assert thunderbolt_links(output) == {}


def test_devices_get_the_domains_of_their_cable():
    devices = joined(
        {"rdma_en2": True, "rdma_en3": False}, {"en2": "Thunderbolt 1"}, {"1": ThunderboltLink("A1", "B1")}
    )
    assert devices == (RdmaDevice("rdma_en2", True, None, "A1", "B1"), RdmaDevice("rdma_en3", False))


FACTS = read_facts()


def node(*devices: RdmaDevice) -> NodeFacts:
    return replace(FACTS, rdma_devices=devices)


def cable(domain: str, peer_domain: str | None, peer: str | None = None) -> RdmaDevice:
    return RdmaDevice(f"rdma_{domain}", True, peer, domain, peer_domain)


def peers(nodes: dict[str, NodeFacts]) -> dict[str, list[str | None]]:
    return {name: [device.peer for device in facts.rdma_devices] for name, facts in with_rdma_peers(nodes).items()}


def test_both_ends_of_a_cable_find_each_other():
    nodes = {
        "a": node(cable("A1", "B1"), cable("A2", "C1"), cable("A3", None)),
        "b": node(cable("B1", "A1")),
        "c": node(cable("C1", "A2"), cable("C2", "X9")),
    }
    assert peers(nodes) == {"a": ["b", "c", None], "b": ["a"], "c": ["a", None]}


def test_a_node_cannot_make_up_a_cable():
    assert peers({"a": node(cable("A1", "B1", peer="b")), "b": node(cable("B1", "C1"))}) == {"a": [None], "b": [None]}
    # A third node that claims a domain of b's: nobody can tell which one it is.
    nodes = {"a": node(cable("A1", "B1")), "b": node(cable("B1", "A1")), "thief": node(cable("B1", "A1"))}
    assert peers(nodes) == {"a": [None], "b": [None], "thief": [None]}
    assert peers({"a": node(cable("A1", "A2"), cable("A2", "A1"))}) == {"a": [None, None]}
