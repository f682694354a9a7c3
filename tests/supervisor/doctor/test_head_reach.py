"""A head that is there, one with another key, one that does not trust us, and none at all: real sockets on loopback."""

import errno
import os
import socket
import threading
from email.utils import formatdate

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.clock import read_clock
from supervisor.doctor.finding import CheckState
from supervisor.doctor.head_reach import judge_head, read_head
from supervisor.ports import free_ports
from tests.transports.cluster.bus_harness import running_cluster
from transports.cluster.keys import generate_key_pair


async def test_a_head_that_trusts_us_is_reached_without_joining_it():
    async with running_cluster() as cluster:
        keys = cluster.keys_for("mini-1")
        facts = await read_head("127.0.0.1", cluster.head.port, keys, cluster.head_keys.public)
        assert facts.shook_hands is True, facts
        assert judge_head(facts, "", OperatingSystem.LINUX).state is CheckState.OK
        assert cluster.record.hellos == []


async def test_a_node_that_is_there_already_keeps_its_place():
    async with running_cluster() as cluster:
        keys = cluster.keys_for("mini-1")
        node = await cluster.joined("mini-1", keys=keys)
        facts = await read_head("127.0.0.1", cluster.head.port, keys, cluster.head_keys.public)
        assert facts.shook_hands is True, facts
        assert len(node.record.welcomes) == 1
        assert len(cluster.record.hellos) == 1


async def test_keys_that_do_not_fit_fail_the_handshake_only():
    async with running_cluster() as cluster:
        stranger = generate_key_pair()
        refused = await read_head("127.0.0.1", cluster.head.port, stranger, cluster.head_keys.public)
        assert (refused.shook_hands, refused.number) == (False, None)
        assert "not trusted" in (refused.handshake_problem or "")
        other_head = await read_head("127.0.0.1", cluster.head.port, cluster.keys_for("n"), stranger.public)
        assert other_head.shook_hands is False
        assert judge_head(other_head, "", OperatingSystem.LINUX).exit_code == 78
        untried = await read_head("127.0.0.1", cluster.head.port, None, cluster.head_keys.public)
        assert untried.shook_hands is None
        assert "no key" in untried.untried


async def test_nobody_listens():
    facts = await read_head("127.0.0.1", free_ports(1)[0], None, None)
    assert facts.number == errno.ECONNREFUSED
    finding = judge_head(facts, "", OperatingSystem.LINUX)
    assert (finding.state, finding.exit_code) == (CheckState.FAILED, 69)
    assert os.strerror(errno.ECONNREFUSED) in finding.evidence[0]


async def test_a_name_that_is_none():
    facts = await read_head("no-such-host.invalid", 52416, None, None)
    assert facts.name_problem
    assert judge_head(facts, "", OperatingSystem.LINUX).state is CheckState.FAILED


def told_by(answer: bytes) -> float | str:
    """What is made of the answer of a server that then waits for its client to leave."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                if b"date" in answer:
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        told = read_clock(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(timeout=10)
        assert not thread.is_alive()
    return told


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: yesterday\r\n\r\n",
    ],
)
def test_a_clock_that_is_not_told(answer: bytes):
    assert isinstance(told_by(answer), str)


def test_an_answer_without_an_end_is_not_waited_for():
    now = formatdate(usegmt=True).encode()
    told = told_by(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\ndate: " + now + b"\r\n\r\nx")
    assert isinstance(told, float), told
    assert abs(told) < 5
