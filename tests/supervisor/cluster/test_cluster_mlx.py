"""The story on real MLX rings over several nodes: ranks and nodes die in mid-stream, the next answer is the same."""

import os
import signal
import time
from collections.abc import Generator

import pytest

from tests.end_to_end.service import wait_until
from tests.end_to_end.test_mlx_ring import ANSWER, QUESTION
from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import MLX_ENGINE, Cluster, running_cluster
from tests.supervisor.cluster.streaming_client import StreamingClient

pytestmark = [pytest.mark.mlx, pytest.mark.timeout(300)]

NODES = ("a", "b", "c")
GRACE_S = 0.5
SETTINGS = {"node_return_s": 60.0, "admission_wait_s": 60.0}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("pipeline"), engine=MLX_ENGINE, settings=SETTINGS) as it:
        yield it


@pytest.fixture(scope="module")
def tensor(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    folder = tmp_path_factory.mktemp("tensor")
    with running_cluster(folder, ranks=4, parallel="tensor", engine=MLX_ENGINE, settings=SETTINGS) as it:
        yield it


def made_ready(cluster: Cluster) -> None:
    cluster.repair()
    wait_until(lambda: len(cluster.here()) == len(NODES), "all nodes are there", 60)
    cluster.wait_ready(deadline_s=120)


def assert_answers(cluster: Cluster) -> None:
    client = StreamingClient(cluster.url, 200, messages=QUESTION, ignore_eos=False)
    client.assert_finished()
    assert client.text == ANSWER


def kill_a_rank(cluster: Cluster, rank: int) -> None:
    made_ready(cluster)
    before = Before(cluster)
    killed_at = time.monotonic()
    os.kill(before.pids[rank], signal.SIGKILL)
    before.wait_released(killed_at)
    before.assert_one_truth([rank], "killed_no_stderr")
    before.assert_serves_again()
    assert_answers(cluster)


def kill_a_node(cluster: Cluster, node: str) -> None:
    made_ready(cluster)
    before = Before(cluster)
    ranks = [rank for rank, name in before.nodes.items() if name == node]
    killed_at = time.monotonic()
    cluster.restart(node)
    before.wait_released(killed_at, excused_s=GRACE_S)
    before.assert_one_truth(ranks, "node_lost")
    before.assert_serves_again()
    assert_answers(cluster)


@pytest.mark.soak
@pytest.mark.parametrize("rank", range(3))
def test_a_rank_of_a_pipeline_is_killed(pipeline: Cluster, rank: int) -> None:
    kill_a_rank(pipeline, rank)


@pytest.mark.parametrize("node", ["a", *(pytest.param(node, marks=pytest.mark.soak) for node in ("b", "c"))])
def test_a_node_of_a_pipeline_is_killed(pipeline: Cluster, node: str) -> None:
    kill_a_node(pipeline, node)


@pytest.mark.soak
@pytest.mark.parametrize("rank", range(4))
def test_a_rank_of_a_tensor_parallel_group_is_killed(tensor: Cluster, rank: int) -> None:
    kill_a_rank(tensor, rank)


@pytest.mark.soak
@pytest.mark.parametrize("node", NODES)
def test_a_node_of_a_tensor_parallel_group_is_killed(tensor: Cluster, node: str) -> None:
    kill_a_node(tensor, node)
