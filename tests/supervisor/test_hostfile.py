"""A user's hostfile: every form that MLX takes, and what is said of the others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.hostfile import MAX_BYTES, MAX_RANKS, HostEntry, Hostfile, HostfileError, read_hosts


def file(folder: Path, content: object) -> Path:
    path = folder / "hosts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_rings_own_form(tmp_path: Path) -> None:
    read = read_hosts(file(tmp_path, [["10.0.0.1:5000", "10.0.1.1:5001"], ["studio.local:5000"]]))
    assert read.entries == (
        HostEntry("", ("10.0.0.1", "10.0.1.1"), (5000, 5001)),
        HostEntry("", ("studio.local",), (5000,)),
    )
    assert read.backend is None


def test_what_mlx_launch_reads(tmp_path: Path) -> None:
    hosts = [
        {"ssh": "me@studio-1.local", "ips": ["10.0.0.1"], "rdma": [None, "rdma_en2"]},
        {"ssh": "studio-2", "rdma": [["rdma_en2", "rdma_en3"], None], "comment": "kept for later"},
    ]
    expected = (
        HostEntry("studio-1.local", ("10.0.0.1",), rdma=(None, "rdma_en2")),
        HostEntry("studio-2", (), rdma=(("rdma_en2", "rdma_en3"), None)),
    )
    assert read_hosts(file(tmp_path, hosts)) == Hostfile(expected)
    whole = {"backend": "jaccl", "envs": ["MLX_METAL_FAST_SYNCH=1", "EMPTY="], "hosts": hosts}
    environment = {"MLX_METAL_FAST_SYNCH": "1", "EMPTY": ""}
    assert read_hosts(file(tmp_path, whole)) == Hostfile(expected, "jaccl", environment)


def test_what_mlx_writes_itself(tmp_path: Path) -> None:
    """The installed MLX's own writer gives what we read, and reads what we read."""
    path = tmp_path / "hosts.json"
    program = """
import json, sys
from mlx._distributed_utils.common import Host, Hostfile
hosts = [Host(0, "a", ["10.0.0.1"], [None, "x"]), Host(1, "b", ["10.0.0.2"], ["x", None])]
written = Hostfile(hosts, "jaccl-ring", ["A=1"])
json.dump(written.to_json(), open(sys.argv[1], "w"))
assert Hostfile.from_file(sys.argv[1]).hosts == hosts
"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    read = read_hosts(path)
    assert (read.backend, read.environment) == ("jaccl", {"A": "1", "MLX_JACCL_RING": "1"})
    assert read.entries[1] == HostEntry("b", ("10.0.0.2",), rdma=("x", None))


def test_names_and_addresses_alone(tmp_path: Path) -> None:
    read = read_hosts(file(tmp_path, ["10.0.0.1", "studio-2.local"]))
    assert read.entries == (HostEntry("10.0.0.1", ("10.0.0.1",)), HostEntry("studio-2.local", ()))


def test_rdma_that_only_jaccl_would_look_at_is_no_fault_of_a_ring(tmp_path: Path) -> None:
    hosts = [{"ssh": "a", "ips": ["10.0.0.1"], "rdma": ["x"]}, {"ssh": "b", "ips": ["10.0.0.2"]}]
    assert all(entry.rdma == () for entry in read_hosts(file(tmp_path, hosts)).entries)
    assert read_hosts(file(tmp_path, {"backend": "ring", "hosts": hosts})).backend == "ring"


JACCL = [{"ssh": name, "ips": ["10.0.0.1"], "rdma": [None, "x", "x"]} for name in "abc"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no hostfile"),
        ("{}", "is no hostfile"),
        ("[" * 100_000, "is no hostfile"),
        ("\ud83d".encode("utf-16", "surrogatepass").decode("latin-1"), "is no hostfile"),
        ([], "names no address for any rank"),
        (["a", 7], r"is no hostfile: .*\$\[1\]"),
        ([["10.0.0.1:1"], []], "no address for rank 1"),
        ([["10.0.0.1:1"], ["10.0.0.2"]], "rank 1 has the address '10.0.0.2'"),
        ([["10.0.0.1:0"]], "10.0.0.1:0"),
        ([["10.0.0.1:99999999999999999999"]], "rank 0 has the address"),
        ([["[fe80::1]:5000"]], "fe80::1"),
        (["fe80::1"], "rank 0 has the address 'fe80::1'"),
        (["a b"], "'a b'"),
        ([{"ssh": "-oProxyCommand=x", "ips": ["10.0.0.1"]}], "rank 0 has the host"),
        ([{"ssh": "a", "ips": ["10.0.0.1", "$(id)"]}], "rank 0 has the address"),
        ([{"ssh": "a", "ips": ["10.0.0.1"] * 17}], "more than 16 addresses"),
        ([{"ips": ["10.0.0.1"]}], "missing required field `ssh`"),
        ({"hosts": ["a"], "backend": "mpi"}, "the backend is 'mpi'"),
        ({"hosts": ["a"], "envs": ["A B=1"]}, "'A B=1'"),
        ({"hosts": ["a"], "envs": ["A=1"] * 65}, "more than 64 variables"),
        ({"hosts": JACCL, "backend": "jaccl"}, "rank 1 names a device to the rank itself"),
        ({"hosts": JACCL[:1] * 2, "backend": "jaccl"}, "rank 0 has 3 devices for 2 ranks"),
        (
            {"hosts": [*JACCL[:1], *({**JACCL[0], "rdma": ["x", None, None]},) * 2], "backend": "jaccl"},
            "rank 1 names no",
        ),
        (["a"] * (MAX_RANKS + 1), "more than 256"),
        (" " * MAX_BYTES + '["a"]', "larger than"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(HostfileError, match=words) as caught:
        read_hosts(file(tmp_path, content))
    assert str(tmp_path / "hosts.json") in str(caught.value)
    assert caught.value.remedy


def test_a_ring_of_jaccl_needs_its_neighbours_only(tmp_path: Path) -> None:
    wires = [[None, "x", None, "x"], ["x", None, "x", None], [None, "x", None, "x"], ["x", None, "x", None]]
    hosts = [{"ssh": "abcd"[rank], "ips": ["10.0.0.1"], "rdma": of_rank} for rank, of_rank in enumerate(wires)]
    assert len(read_hosts(file(tmp_path, {"hosts": hosts, "backend": "jaccl-ring"})).entries[0].rdma) == 4
    with pytest.raises(HostfileError, match="rank 0 names no device to rank 2"):
        read_hosts(file(tmp_path, {"hosts": hosts, "backend": "jaccl"}))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(HostfileError, match="cannot be read"):
            read_hosts(path)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(["10.0.0.1:5000", "ssh", "ips"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ssh", "ips", "rdma", "hosts"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_json_is_read_or_refused(tmp_path: Path, content: object) -> None:
    try:
        read = read_hosts(file(tmp_path, json.dumps(content)))
    except HostfileError as refusal:
        assert refusal.remedy
    else:
        assert 0 < len(read.entries) <= MAX_RANKS
