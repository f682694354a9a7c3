"""Ring addresses and environments of local ranks."""

import json
import socket
from pathlib import Path

import pytest

from supervisor.hostfile import HostfileError
from supervisor.run.ranks import loopback_ring, rank_environment, read_hostfile


def hostfile(folder: Path, content: object) -> Path:
    path = folder / "hosts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_rings_own_form(tmp_path: Path) -> None:
    ring = [["127.0.0.1:5000", "127.0.0.1:5001"], [f"{socket.gethostname()}:5002"]]
    assert read_hostfile(hostfile(tmp_path, ring)) == ring


def test_the_launchers_form_gets_ports(tmp_path: Path) -> None:
    hosts = [{"ssh": "localhost", "ips": ["127.0.0.1"]}, {"ssh": "127.0.0.1", "ips": [], "rdma": [None]}]
    (first,), (second,) = read_hostfile(hostfile(tmp_path, hosts))
    assert first.startswith("127.0.0.1:")
    assert second.startswith("127.0.0.1:")
    assert first != second


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no hostfile"),
        ("\x00\xff", "no hostfile"),
        ("{}", "no hostfile"),
        ([1], "no hostfile"),
        ([], "names no address"),
        ([[]], "names no address"),
        ([["127.0.0.1"]], "'127.0.0.1'"),
        ([["127.0.0.1:99999"]], "99999"),
        ([["127.0.0.1:http"]], "http"),
    ],
)
def test_nonsense_is_refused_with_its_name(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(HostfileError, match=words) as caught:
        read_hostfile(hostfile(tmp_path, content))
    assert caught.value.remedy
    assert not caught.value.is_remote


@pytest.mark.parametrize("content", [[["192.0.2.7:5000"]], [{"ssh": "studio.example", "ips": ["192.0.2.7"]}]])
def test_other_machines_are_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(HostfileError, match="not this machine") as caught:
        read_hostfile(hostfile(tmp_path, content))
    assert caught.value.is_remote
    assert "ringwarden join" in caught.value.remedy


def test_a_ring_of_our_own_has_one_free_address_for_each_rank() -> None:
    ring = loopback_ring(5)
    assert len({address for (address,) in ring}) == 5


def test_the_environment_is_ours_plus_the_place_in_the_ring() -> None:
    base = {"PATH": "/bin", "MLX_RANK": "7", "RINGWARDEN_API_KEY": "secret", "PYTHONUNBUFFERED": ""}
    environment = rank_environment(base, 1, Path("/hosts.json"))
    assert environment == {"PATH": "/bin", "MLX_RANK": "1", "MLX_HOSTFILE": "/hosts.json", "PYTHONUNBUFFERED": ""}
    assert rank_environment({}, 0, None) == {"PYTHONUNBUFFERED": "1"}
