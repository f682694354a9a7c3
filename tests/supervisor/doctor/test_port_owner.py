"""Who has a port: the one in the way and no other, also where the system shows everybody their own processes only."""

import os
import socket
import sys

import psutil
import pytest

from supervisor.doctor.ports import API, BUS, EVENTS, find_owner, port_findings, read_ports
from supervisor.ports import free_ports
from supervisor.settings import Settings


@pytest.fixture(params=["all connections", "own processes only"])
def shown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system shows, as on Linux and as on macOS."""

    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    if request.param == "own processes only":
        monkeypatch.setattr(psutil, "net_connections", denied)


@pytest.mark.usefixtures("shown")
def test_the_owner_is_the_one_in_the_way():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            owner = find_owner(host, port)
            assert owner is not None, host
            assert owner.pid == os.getpid()
    assert find_owner("127.0.0.1", port) is None


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has 127.0.0.1 only")
def test_a_listener_on_another_address_is_not_in_the_way():
    with socket.create_server(("127.0.0.2", 0)) as server:
        assert find_owner("127.0.0.1", server.getsockname()[1]) is None


def test_the_ports_of_a_head_are_three_and_none_is_kept():
    api, bus = free_ports(2)
    settings = Settings(port=api, nodes="auto", bus_port=bus)
    assert [facts.check for facts in read_ports(settings)] == [API, BUS, EVENTS]
    # Looked at twice: the first look has not kept them. The third port is a neighbour that may be somebody's.
    assert [facts.problem for facts in read_ports(settings)[:2]] == [None, None]
    assert [finding.check for finding in port_findings(Settings(port=0), None)] == [API, BUS, EVENTS]
