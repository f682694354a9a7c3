"""Probes between real sockets: what works, and every way in which it does not."""

import errno
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread

import anyio
import pytest

from supervisor.cluster.probes import Probes
from supervisor.ports import MAX_PORTS_AT_ONCE, bound_socket, free_ports
from transports.cluster.requests import EdgeProbed, OpenProbe, ProbeEdge

pytestmark = pytest.mark.anyio

NONCE = "0123456789abcdef"
LOOPBACK_NET = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has 127.0.0.1 alone unless aliases are added")


def edge(port: int, *, host: str = "127.0.0.1", nonce: str = NONCE, timeout_s: float = 5.0, source: str | None = None):
    return ProbeEdge(host, port, nonce, timeout_s, source)


async def listening(probes: Probes, address: str = "127.0.0.1", open_s: float = 5.0) -> int:
    opened = await probes.open(OpenProbe(address, NONCE, open_s))
    assert opened.errno is None
    assert opened.port > 0
    return opened.port


async def closed(probes: Probes) -> None:
    with anyio.fail_after(5):
        await probes.until_closed()


@contextmanager
def answering(answer: bytes | None) -> Generator[int]:
    """Somebody else's listener: silent for None, else it sends something and closes."""
    listener = bound_socket("127.0.0.1")
    listener.listen()
    taken: list[socket.socket] = []

    def serve() -> None:
        connection, _ = listener.accept()
        taken.append(connection)
        if answer is not None:
            connection.recv(64)
            connection.sendall(answer)
            connection.close()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5)
        for each in (listener, *taken):
            each.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", pytest.param("127.0.0.3", marks=LOOPBACK_NET)])
async def test_two_nodes_that_reach_each_other(nothing_left_behind: None, address: str) -> None:
    del nothing_left_behind
    here, there = Probes(), Probes()
    port = await listening(there, address)
    began = time.monotonic()
    assert await here.probe(edge(port, host=address)) == EdgeProbed()
    assert time.monotonic() - began < 1.0
    await closed(there)
    assert (await here.probe(edge(port, host=address))).errno == errno.ECONNREFUSED


@LOOPBACK_NET
async def test_the_source_address_is_the_one_that_was_asked_for() -> None:
    listener = bound_socket("127.0.0.1")
    listener.listen()
    listener.settimeout(5)
    sources: list[str] = []

    def accept() -> None:
        connection, source = listener.accept()
        sources.append(source[0])
        connection.close()

    thread = Thread(target=accept)
    thread.start()
    await Probes().probe(edge(listener.getsockname()[1], source="127.0.0.5"))
    thread.join()
    listener.close()
    assert sources == ["127.0.0.5"]


async def test_a_source_address_that_is_not_ours() -> None:
    port = await listening(there := Probes(), open_s=0.5)
    probed = await Probes().probe(edge(port, source="192.0.2.1"))
    assert probed == EdgeProbed(errno.EADDRNOTAVAIL, "it cannot connect from 192.0.2.1")
    assert (await Probes().probe(edge(port, source="nonsense"))).errno == errno.EINVAL
    await closed(there)


async def test_an_address_that_is_not_ours_cannot_be_listened_at() -> None:
    assert (await Probes().open(OpenProbe("192.0.2.1", NONCE, 1.0))).errno == errno.EADDRNOTAVAIL
    assert (await Probes().open(OpenProbe("no-address", NONCE, 1.0))).errno == errno.EINVAL


async def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    assert await Probes().probe(edge(port)) == EdgeProbed(errno.ECONNREFUSED)


async def test_no_way_to_the_network() -> None:
    # 240.0.0.0/4 is reserved; systems without a default route say so as well.
    probed = await Probes().probe(edge(9, host="255.255.255.255", timeout_s=0.5))
    assert probed.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ETIMEDOUT}


async def test_packets_that_are_dropped() -> None:
    """A listener whose backlog is full answers nothing, as a firewall that drops."""
    full = bound_socket("127.0.0.1")
    full.listen(0)
    waiting: list[socket.socket] = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        waiting.append(filler)
    began = time.monotonic()
    probed = await Probes().probe(edge(full.getsockname()[1], timeout_s=0.3))
    for each in (full, *waiting):
        each.close()
    assert time.monotonic() - began < 2.0
    if sys.platform == "darwin":
        assert probed.errno in {errno.ETIMEDOUT, errno.ECONNREFUSED}
    else:
        assert probed == EdgeProbed(errno.ETIMEDOUT, "nothing came back within 0.3 s")


async def test_a_silent_listener_is_not_waited_for() -> None:
    with answering(None) as port:
        probed = await Probes().probe(edge(port, timeout_s=0.3))
    assert probed == EdgeProbed(problem="it connected, but nobody answered within 0.3 s")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "whoever listens there closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "somebody else answers there"),
        (b"x" * 32, "somebody else answers there"),
        (b"x" * 4096, "somebody else answers there"),
    ],
)
async def test_somebody_else_listens_there(answer: bytes, problem: str) -> None:
    with answering(answer) as port:
        assert await Probes().probe(edge(port)) == EdgeProbed(problem=problem)


async def test_an_echo_is_no_proof() -> None:
    listener = bound_socket("127.0.0.1")
    listener.listen()

    def echo() -> None:
        connection, _ = listener.accept()
        connection.sendall(connection.recv(64))
        connection.close()

    thread = Thread(target=echo)
    thread.start()
    assert await Probes().probe(edge(listener.getsockname()[1])) == EdgeProbed(problem="somebody else answers there")
    thread.join()
    listener.close()


async def test_a_wrong_nonce_neither_passes_nor_takes_the_place(nothing_left_behind: None) -> None:
    del nothing_left_behind
    there = Probes()
    port = await listening(there)
    probed = await Probes().probe(edge(port, nonce="another"))
    assert probed == EdgeProbed(problem="whoever listens there closed the connection")
    assert await Probes().probe(edge(port)) == EdgeProbed()
    await closed(there)


async def test_strangers_who_stay_silent_do_not_keep_the_neighbour_out(nothing_left_behind: None) -> None:
    del nothing_left_behind
    there = Probes(max_strangers=2, stranger_s=0.1)
    port = await listening(there)
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    assert await Probes().probe(edge(port)) == EdgeProbed()
    for each in strangers:
        each.close()
    await closed(there)


async def test_listeners_are_bounded_in_number_and_time(nothing_left_behind: None) -> None:
    del nothing_left_behind
    there = Probes(max_open=2, max_open_s=0.2)
    ports = [await listening(there, open_s=3600.0) for _ in range(2)]
    assert (await there.open(OpenProbe("127.0.0.1", NONCE, 1.0))).errno == errno.EMFILE
    await closed(there)
    assert (await Probes().probe(edge(ports[0]))).errno == errno.ECONNREFUSED
    assert (await there.open(OpenProbe("127.0.0.1", NONCE, -1.0))).errno is None
    await closed(there)


async def test_a_name_that_nobody_has() -> None:
    probed = await Probes().probe(edge(9, host="no-such-host.invalid"))
    assert probed.errno is None
    assert "no-such-host.invalid" in (probed.problem or "")


async def test_many_probes_at_once() -> None:
    here, there = Probes(), Probes()
    ports = [await listening(there) for _ in range(64)]
    outcomes: list[EdgeProbed] = []

    async def probe(port: int) -> None:
        outcomes.append(await here.probe(edge(port, timeout_s=10)))

    async with anyio.create_task_group() as tasks:
        for port in ports:
            tasks.start_soon(probe, port)
    assert outcomes == [EdgeProbed()] * 64
    await closed(there)


def test_free_ports_are_distinct_and_on_the_address() -> None:
    ports = free_ports(32, "::1")
    assert len(set(ports)) == 32
    with bound_socket("::1", ports[0]) as bound:
        assert bound.getsockname()[:2] == ("::1", ports[0])
    for count in (0, -1, MAX_PORTS_AT_ONCE + 1):
        with pytest.raises(OSError, match="cannot be found at once"):
            free_ports(count)
    for address, number in (("192.0.2.1", errno.EADDRNOTAVAIL), ("no-address", errno.EINVAL)):
        with pytest.raises(OSError) as caught:
            free_ports(1, address)
        assert caught.value.errno == number
