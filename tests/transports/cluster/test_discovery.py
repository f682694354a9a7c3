"""Heads are found by multicast on the loopback interface, whatever else is said there."""

import socket
import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from transports.cluster.announcement import (
    SERVICE_TYPE,
    FoundHead,
    instance_name,
    may_be_head,
    properties_of,
    read_announcement,
)
from transports.cluster.discovery import DiscoveryError, announced, browse
from transports.cluster.keys import fingerprint, generate_key_pair

LOOPBACK = ["127.0.0.1"]
TIMEOUT_S = 20.0
LOOK_S = 2.0
MDNS = ("224.0.0.251", 5353)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def multicast() -> None:
    """Skip, visibly, where this machine cannot multicast to itself over loopback."""
    group, member = "224.0.0.251", struct.pack("4s4s", socket.inet_aton("224.0.0.251"), socket.inet_aton("127.0.0.1"))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("", 0))
        receiver.settimeout(2)
        try:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.sendto(b"hello", (group, receiver.getsockname()[1]))
            receiver.recv(16)
        except OSError as problem:
            pytest.skip(f"no multicast over loopback on this machine: {problem}")


def some_head(**changes: object) -> FoundHead:
    values = {
        "cluster_id": "cluster-1",
        "addresses": ("127.0.0.1", "10.0.0.1"),
        "port": 52416,
        "fingerprint": fingerprint(generate_key_pair().public),
        "protocol_version": 1,
    }
    return FoundHead(**{**values, **changes})  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def stranger(*services: AsyncServiceInfo) -> AsyncGenerator[None, None]:
    """Somebody else on the network, who announces what they like."""
    async with AsyncZeroconf(interfaces=LOOPBACK, ip_version=IPVersion.V4Only) as responder:

        async def register(service: AsyncServiceInfo) -> None:
            await (await responder.async_register_service(service, strict=False))

        async with anyio.create_task_group() as tasks:
            for service in services:
                tasks.start_soon(register, service)
        yield


def service(name: str, **changes: object) -> AsyncServiceInfo:
    values = {"port": 1, "properties": properties_of(some_head()), "parsed_addresses": ["127.0.0.9"]}
    return AsyncServiceInfo(SERVICE_TYPE, name, **{**values, **changes})  # pyright: ignore[reportArgumentType]


@pytest.mark.soak
@pytest.mark.usefixtures("multicast")
async def test_a_head_is_found_at_once_and_gone_when_it_ends():
    head = some_head()
    async with announced(head, interfaces=LOOPBACK):
        began = time.monotonic()
        assert await browse(TIMEOUT_S, fingerprint=head.fingerprint, interfaces=LOOPBACK) == (head,)
        assert time.monotonic() - began < TIMEOUT_S / 2
        assert head in await browse(LOOK_S, interfaces=LOOPBACK)
        assert await browse(LOOK_S, fingerprint=some_head().fingerprint, interfaces=LOOPBACK) == ()
    assert head not in await browse(LOOK_S, interfaces=LOOPBACK)


@pytest.mark.usefixtures("multicast")
@pytest.mark.soak
async def test_two_heads_are_both_found():
    first, second = some_head(), some_head(cluster_id="cluster-2")
    async with announced(first, interfaces=LOOPBACK), announced(second, interfaces=LOOPBACK):
        assert {first, second} <= set(await browse(LOOK_S, interfaces=LOOPBACK))


@pytest.mark.usefixtures("multicast")
@pytest.mark.soak
async def test_a_head_whose_name_is_taken_is_still_found():
    head = some_head()
    claimed = some_head(fingerprint=head.fingerprint, port=1, addresses=("127.0.0.9",))
    impostor = service(instance_name(head.fingerprint), properties=properties_of(claimed))
    async with stranger(impostor), announced(head, interfaces=LOOPBACK):
        found = await browse(TIMEOUT_S, fingerprint=head.fingerprint, interfaces=LOOPBACK)
    # Both say that they have this key; the connection shows which of them does.
    assert set(found) == {head, claimed}


@pytest.mark.soak
@pytest.mark.usefixtures("multicast")
async def test_hostile_announcements_neither_confuse_nor_stop_the_search():
    head, lie = some_head(), some_head(cluster_id="hostile")
    names = [instance_name(some_head().fingerprint) for _ in range(5)]
    hostile = [
        service(f"not a fingerprint.{SERVICE_TYPE}", properties=properties_of(lie)),
        service(names[0], properties={}),
        service(names[1], properties={**properties_of(lie), "protocol": "-1"}),
        service(names[2], properties={**properties_of(head), "cluster": "../../x"}),
        service(names[3], properties=properties_of(lie), port=0),
        service(names[4], properties=b"\xff\x00\x03=="),
    ]
    async with stranger(*hostile), announced(head, interfaces=LOOPBACK), anyio.create_task_group() as tasks:
        tasks.start_soon(send_garbage)
        found = await browse(LOOK_S, interfaces=LOOPBACK)
        tasks.cancel_scope.cancel()
    # Heads of tests that run beside this one are found too.
    assert [one for one in found if one.fingerprint == head.fingerprint or one.cluster_id == "hostile"] == [head]


async def send_garbage() -> None:
    """Packets that are no DNS at all, cut ones, and one whose compressed name points at itself."""
    header = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
    packets = [
        b"",
        b"\xff" * 12,
        header,
        header + b"\xc0\x0c" + bytes(10),
        b"\x00" * 9000,
        header + b"\x3f" + b"a" * 20,
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        while True:
            for packet in packets:
                sender.sendto(packet, MDNS)
            await anyio.sleep(0.05)


@pytest.mark.usefixtures("multicast")
@pytest.mark.soak
async def test_no_more_announcements_are_looked_at_than_allowed():
    heads = [some_head() for _ in range(4)]
    async with stranger(*(service(instance_name(head.fingerprint), properties=properties_of(head)) for head in heads)):
        assert len(await browse(LOOK_S, interfaces=LOOPBACK, max_names=2)) == 2


async def test_an_interface_that_is_not_there_is_told():
    with pytest.raises(DiscoveryError) as caught:
        await browse(1, interfaces=["192.0.2.77"])
    assert "ringwarden join" in caught.value.remedy


GOOD = {name.encode(): value.encode() for name, value in properties_of(some_head()).items()}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"cluster", None),
        (b"cluster", b""),
        (b"cluster", b"x" * 65),
        (b"cluster", b"a\n"),
        (b"cluster", b"\x1b[2J"),
        (b"key", b"4228-94C0-f8d3-e198-460d"),
        (b"key", b"4228"),
        (b"protocol", b"0"),
        (b"protocol", b"1.5"),
        (b"protocol", b"9" * 5000),
        (b"protocol", "\N{ARABIC-INDIC DIGIT ONE}".encode()),
        (b"addresses", b""),
        (b"addresses", b"0.0.0.0,224.0.0.1,fe80::1,::,1.2.3,,"),
        (b"addresses", b"10.0.0.1 "),
        (b"addresses", b"1" * 300),
    ],
)
def test_what_is_not_exactly_right_is_no_head(key: bytes, value: bytes | None):
    assert read_announcement(GOOD, 1) is not None
    assert read_announcement({**GOOD, key: value}, 1) is None
    assert read_announcement({name: one for name, one in GOOD.items() if name != key}, 1) is None


def test_ports_and_addresses_are_checked():
    for port in (None, 0, -1, 65_536):
        assert read_announcement(GOOD, port) is None
    head = read_announcement({**GOOD, b"addresses": b"10.0.0.2,2001:db8::1,nonsense,10.0.0.1,10.0.0.2,0.0.0.0"}, 1)
    assert head is None  # a letter that no address has
    head = read_announcement({**GOOD, b"addresses": b"10.0.0.2,2001:db8::1,999.9,10.0.0.1,10.0.0.2,0.0.0.0"}, 1)
    assert head is not None
    assert head.addresses == ("10.0.0.2", "2001:db8::1", "10.0.0.1")


def test_as_many_addresses_are_announced_as_fit_into_a_text_record():
    addresses = tuple(f"2001:db8:1111:2222:3333:4444:5555:{number:x}" for number in range(16))
    properties = {
        name.encode(): value.encode() for name, value in properties_of(some_head(addresses=addresses)).items()
    }
    head = read_announcement(properties, 1)
    assert head is not None
    assert 5 <= len(head.addresses) < 16
    assert head.addresses == addresses[: len(head.addresses)]
    assert max(len(name) + len(value) for name, value in properties.items()) < 255


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.binary(max_size=80)), st.integers())
def test_no_announcement_is_an_error(properties: dict[bytes, bytes], port: int):
    head = read_announcement(properties, port)
    assert head is None or head.fingerprint.encode() == properties[b"key"]


@given(st.text(max_size=100))
def test_only_names_of_heads_are_followed(text: str):
    wanted = some_head().fingerprint
    assert not may_be_head(text, wanted)
    assert not may_be_head(f"{text}.{SERVICE_TYPE}", wanted)
    assert may_be_head(instance_name(wanted), wanted)
    assert may_be_head(f"{wanted}-2.{SERVICE_TYPE}", wanted)
    assert may_be_head(instance_name(wanted), None)
    assert not may_be_head(instance_name(wanted), some_head().fingerprint)
