"""What MLX reads: real rings are formed from it, over several addresses of one machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cluster.ring_files import RankFiles, generation_files
from supervisor.core.placement import Placed
from supervisor.core.rank_places import PlacedBackend, RankPlace
from supervisor.ports import free_ports

SUM = """
import mlx.core as mx
group = mx.distributed.init(strict=True, backend="ring")
total = mx.distributed.all_sum(mx.full(64, group.rank() + 1.0), group=group, stream=mx.cpu)
print(group.rank(), group.size(), total[0].item())
"""
LOOPBACK_NET = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has 127.0.0.1 alone unless aliases are added")
DEADLINE_S = 90


def group(*places: RankPlace, backend: PlacedBackend = "ring") -> Placed:
    return Placed(places, "tensor", backend, "")


def start(files: RankFiles, folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    for name, text in files.files.items():
        (folder / name).write_text(text)
    told = {name: value.replace("{folder}", str(folder)) for name, value in files.environment.items()}
    return subprocess.Popen([sys.executable, "-c", SUM], env={**os.environ, **told}, stdout=subprocess.PIPE, text=True)


def sums(placed: Placed, folder: Path) -> list[str]:
    ports = [free_ports(len(each.addresses), each.address) for each in placed.assignments]
    ranks = [start(files, folder / str(rank)) for rank, files in enumerate(generation_files(placed, ports))]
    try:
        return [rank.communicate(timeout=DEADLINE_S)[0].strip() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


@LOOPBACK_NET
def test_three_ranks_on_three_addresses_form_a_ring(tmp_path: Path) -> None:
    places = [RankPlace(rank, "abc"[rank], (f"127.0.0.{rank + 1}",)) for rank in range(3)]
    assert sums(group(*places), tmp_path) == ["0 3 6.0", "1 3 6.0", "2 3 6.0"]


def test_several_connections_between_two_ranks(tmp_path: Path) -> None:
    places = [RankPlace(rank, "a", ("127.0.0.1", "127.0.0.1")) for rank in range(2)]
    assert sums(group(*places), tmp_path) == ["0 2 3.0", "1 2 3.0"]


def test_ports_that_the_user_fixed_stay() -> None:
    placed = group(RankPlace(0, "a", ("10.0.0.1",), (5000,)), RankPlace(1, "b", ("10.0.0.2",)))
    first, second = generation_files(placed, [(), (6000,)])
    assert first.files == second.files
    assert json.loads(first.files["hosts.json"]) == [["10.0.0.1:5000"], ["10.0.0.2:6000"]]
    assert second.environment == {"MLX_RANK": "1", "MLX_HOSTFILE": "{folder}/hosts.json"}


def test_a_port_for_each_address_or_none_at_all() -> None:
    placed = group(RankPlace(0, "a", ("10.0.0.1",)), RankPlace(1, "b", ("10.0.0.2",)))
    with pytest.raises(ValueError, match="rank 1 has 1 addresses, but 0 ports"):
        generation_files(placed, [(5000,), ()])


def test_one_rank_reads_nothing() -> None:
    placed = group(RankPlace(0, "a", ("127.0.0.1",)), backend="none")
    assert generation_files(placed, [(5000,)]) == (RankFiles({}, {}),)


def test_jaccl_reads_devices_and_meets_at_rank_0() -> None:
    placed = group(
        RankPlace(0, "a", ("10.0.0.1",), rdma=(None, "rdma_en2", ("rdma_en3", "rdma_en4"))),
        RankPlace(1, "b", ("10.0.0.2",), rdma=("rdma_en2", None, "rdma_en5")),
        RankPlace(2, "c", ("10.0.0.3",), rdma=("rdma_en3", "rdma_en5", None)),
        backend="jaccl",
    )
    files = generation_files(placed, [(5000,), (5001,), (5002,)])
    assert files[2].environment == {
        "MLX_RANK": "2",
        "MLX_IBV_DEVICES": "{folder}/devices.json",
        "MLX_JACCL_COORDINATOR": "10.0.0.1:5000",
    }
    assert json.loads(files[2].files["devices.json"]) == [
        [None, "rdma_en2", ["rdma_en3", "rdma_en4"]],
        ["rdma_en2", None, "rdma_en5"],
        ["rdma_en3", "rdma_en5", None],
    ]


def test_jaccl_without_a_full_mesh_goes_around_the_ring() -> None:
    wires = [(None, "x", None, "x"), ("x", None, "x", None), (None, "x", None, "x"), ("x", None, "x", None)]
    places = [RankPlace(rank, "abcd"[rank], ("10.0.0.1",), rdma=wires[rank]) for rank in range(4)]
    files = generation_files(group(*places, backend="jaccl"), [(5000,)] * 4)
    assert {each.environment["MLX_JACCL_RING"] for each in files} == {"1"}
