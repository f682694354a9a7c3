"""Four real MLX ranks over three nodes, tensor parallel: two of them die with their node."""

from collections.abc import Generator

import pytest

from tests.supervisor.cluster.cluster_harness import MLX_ENGINE, Cluster, running_cluster
from tests.supervisor.cluster.cluster_mlx import SETTINGS, assert_a_node_can_be_killed, assert_a_rank_can_be_killed

pytestmark = [pytest.mark.mlx, pytest.mark.soak, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    folder = tmp_path_factory.mktemp("tensor")
    with running_cluster(folder, ranks=4, parallel="tensor", engine=MLX_ENGINE, settings=SETTINGS) as it:
        yield it


@pytest.mark.parametrize("rank", range(4))
def test_a_rank_is_killed(cluster: Cluster, rank: int) -> None:
    assert_a_rank_can_be_killed(cluster, rank)


@pytest.mark.parametrize("node", ["a", "b", "c"])
def test_a_node_is_killed(cluster: Cluster, node: str) -> None:
    assert_a_node_can_be_killed(cluster, node)
