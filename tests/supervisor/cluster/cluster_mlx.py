"""A rank or a node of a cluster on real MLX dies in mid-stream; then the same question has the same answer."""

import os
import signal
import time

from tests.end_to_end.service import wait_until
from tests.end_to_end.test_mlx_ring import ANSWER, QUESTION
from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import Cluster
from tests.supervisor.cluster.streaming_client import StreamingClient

SETTINGS = {"node_return_s": 60.0, "admission_wait_s": 60.0}
GRACE_S = 0.5
# Ring ranks never sleep while they compute: with more of them than cores, a token takes as long as it takes.
ANSWER_DEADLINE_S = 120.0


def made_ready(cluster: Cluster) -> None:
    """Bring everything back that an earlier test took."""
    cluster.repair()
    wait_until(lambda: len(cluster.here()) == len(cluster.nodes), "all nodes are there", 60)
    cluster.wait_ready(deadline_s=120)


def assert_answers(cluster: Cluster) -> None:
    """The model says what it always says."""
    client = StreamingClient(cluster.url, 200, messages=QUESTION, ignore_eos=False)
    client.wait_end(ANSWER_DEADLINE_S)
    client.assert_finished()
    assert client.text == ANSWER


def assert_a_rank_can_be_killed(cluster: Cluster, rank: int) -> None:
    """It is named, the others are released, and the group serves again."""
    made_ready(cluster)
    before = Before(cluster)
    killed_at = time.monotonic()
    os.kill(before.pids[rank], signal.SIGKILL)
    before.wait_released(killed_at)
    before.assert_one_truth([rank], "killed_no_stderr")
    before.assert_serves_again()
    assert_answers(cluster)


def assert_a_node_can_be_killed(cluster: Cluster, node: str) -> None:
    """It is named, all ranks are released, and the group serves again when it is back."""
    made_ready(cluster)
    before = Before(cluster)
    ranks = [rank for rank, name in before.nodes.items() if name == node]
    killed_at = time.monotonic()
    cluster.restart(node)
    before.wait_released(killed_at, excused_s=GRACE_S)
    before.assert_one_truth(ranks, "node_lost")
    before.assert_serves_again()
    assert_answers(cluster)
