"""A real MLX pipeline over three nodes: ranks and nodes die in mid-stream."""

from collections.abc import Generator

import pytest

from tests.supervisor.cluster.cluster_harness import MLX_ENGINE, Cluster, running_cluster
from tests.supervisor.cluster.cluster_mlx import SETTINGS, assert_a_node_can_be_killed, assert_a_rank_can_be_killed

pytestmark = [pytest.mark.mlx, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    folder = tmp_path_factory.mktemp("pipeline")
    with running_cluster(folder, ranks=3, parallel="pipeline", engine=MLX_ENGINE, settings=SETTINGS) as it:
        yield it


@pytest.mark.soak
@pytest.mark.parametrize("rank", range(3))
def test_a_rank_is_killed(cluster: Cluster, rank: int) -> None:
    assert_a_rank_can_be_killed(cluster, rank)


@pytest.mark.soak
@pytest.mark.parametrize("node", ["a", "b", "c"])
def test_a_node_is_killed(cluster: Cluster, node: str) -> None:
    assert_a_node_can_be_killed(cluster, node)
