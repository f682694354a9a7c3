"""The head's own machine computes, too; nodes that are gone for good; ranks that never notice by themselves."""

import os
import signal
import time
from collections.abc import Generator

import pytest

from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster

GRACE_S = 0.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    settings = {"node_return_s": 1.0, "admission_wait_s": 60.0}
    folder = tmp_path_factory.mktemp("cluster")
    # As with JACCL, no rank notices that another is gone: only the head can release it.
    script = {"on_peer_loss": "hang"}
    with running_cluster(folder, ("b",), own_node=True, ranks=2, script=script, settings=settings) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    wait_until(lambda: shared.here() == ["b", "head"], "both nodes are there", 60)
    view = shared.wait_ready()
    if {rank["node"] for rank in view["ranks"]} != {"b", "head"}:
        # Only a new generation has a place for a node that came back.
        Before(shared, clients=0).kill_a_rank()
        shared.wait_ready(view["generation"] + 1)
    yield shared
    print(shared.logs())  # shown of a failed test only


@pytest.mark.parametrize("node", ["head", "b"])
def test_a_rank_killed_from_outside(cluster: Cluster, node: str) -> None:
    before = Before(cluster)
    rank = before.rank_on(node)
    killed_at = time.monotonic()
    os.kill(before.pids[rank], signal.SIGKILL)
    before.wait_released(killed_at)
    before.assert_one_truth([rank], "killed_no_stderr")
    before.assert_serves_again()


def test_a_node_that_is_gone_for_good_is_done_without_and_taken_back_later(cluster: Cluster) -> None:
    before = Before(cluster)
    killed_at = time.monotonic()
    cluster.kill("b")
    before.wait_released(killed_at, excused_s=GRACE_S)
    error = before.assert_one_truth([before.rank_on("b")], "node_lost")
    view = before.assert_serves_again()
    assert {rank["node"] for rank in view["ranks"]} == {"head"}
    cluster.start("b")
    wait_until(lambda: cluster.here() == ["b", "head"], "the node is back", 60)
    cluster.journals.wait_caught_up("b", error["incident_id"])
    after = Before(cluster)
    after.kill_a_rank()
    after.assert_one_truth([0], "killed_no_stderr")
    view = after.assert_serves_again()
    assert {rank["node"] for rank in view["ranks"]} == {"b", "head"}
