"""A head that is away for long, or went while its group started: what nodes kept is adopted whole, or not at all."""

import time
from pathlib import Path

import pytest

from supervisor.cluster.key_store import HEAD
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import running_cluster
from tests.supervisor.cluster.cluster_process import is_over


@pytest.mark.soak
def test_a_head_that_is_away_for_half_a_minute_adopts_its_group_all_the_same(tmp_path: Path):
    # With the settings that people have: nodes try every 10 s by then.
    with running_cluster(tmp_path, nodes=("a", "b"), ranks=2, settings={"outage_budget_s": 120}) as cluster:
        before = cluster.wait_ready()
        pids = cluster.pids()
        cluster.kill(HEAD)
        went_at = time.monotonic()
        wait_until(lambda: time.monotonic() - went_at > 35, "a long outage", 60)
        cluster.start_head()
        assert cluster.wait_ready()["generation"] == before["generation"]
        assert cluster.pids() == pids


@pytest.mark.soak
def test_a_head_that_dies_while_its_group_starts_leaves_nothing_half_started(tmp_path: Path):
    script = {"layers": 8, "layer_interval_s": 0.5}
    with running_cluster(tmp_path, nodes=("a", "b"), ranks=2, script=script) as cluster:
        wait_until(lambda: any(rank["state"] == "loading" for rank in cluster.view()["ranks"]), "a rank loads", 30)
        pids = cluster.pids()
        cluster.kill(HEAD)
        cluster.start_head()
        assert cluster.wait_ready(2)["generation"] == 2
        assert all(map(is_over, pids.values())), "what had not served yet is not adopted"
        assert cluster.incidents() == []
        cluster.assert_serves()
