"""A head that ends and comes back: running groups go on, requests had an end, and what happened meanwhile is told."""

import os
import signal
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import openai
import pytest

from supervisor.cluster.key_store import HEAD
from supervisor.exit_code import ExitCode
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster
from tests.supervisor.cluster.cluster_process import is_over
from tests.supervisor.cluster.sdk_client import SdkClient
from tests.supervisor.cluster.streaming_client import StreamingClient
from tests.supervisor.cluster.test_head_outage import outage_lines

CLIENTS = 20
ADOPTION_WAIT_S = 20.0
# What a loaded two-core machine may add before this is a failure of the code.
NOISE_S = 8.0
SETTINGS = {"adoption_wait_s": ADOPTION_WAIT_S, "max_concurrent_tasks": CLIENTS + 4, "max_queued_tasks": 64}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), settings=SETTINGS) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    if shared.head.exit_code is not None:
        shared.start_head()
    shared.wait_ready()
    yield shared
    print(shared.logs())  # shown of a failed test only


def rows(cluster: Cluster, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What the head's journal answers, asked as anybody can."""
    with closing(sqlite3.connect(cluster.state_dir(HEAD) / "journal.db", timeout=10)) as connection:
        return connection.execute(statement, values).fetchall()


def newest_run(cluster: Cluster) -> str:
    """The run that the head's journal was opened for last."""
    return rows(cluster, "SELECT run_id FROM writers ORDER BY opened_at DESC LIMIT 1")[0][0]


def incident_ids(cluster: Cluster) -> list[str]:
    return [one["incident_id"] for one in cluster.incidents()]


def outages(cluster: Cluster) -> dict[str, int]:
    """How often each node said so far that its head had gone."""
    return {name: [elapsed for elapsed, _ in outage_lines(cluster.log(name))].count(0) for name in cluster.nodes}


def wait_all_miss_their_head(cluster: Cluster, before: dict[str, int]) -> None:
    """Wait until every node says that a new outage began: at once, however short ago the last one was."""
    wait_until(lambda: all(outages(cluster)[name] > before[name] for name in cluster.nodes), "all miss their head", 30)


def test_a_head_killed_under_streams_comes_back_to_a_group_that_never_stopped(cluster: Cluster):
    before = cluster.view()
    pids = cluster.pids()
    known = incident_ids(cluster)
    dead_run, dead_pid = newest_run(cluster), cluster.head.pid
    sdk = SdkClient(cluster.url, max_retries=0, max_tokens=100_000)
    clients = [cluster.stream() for _ in range(CLIENTS - 1)]
    # So long that each has been in the journal for a while.
    clients[-1].wait_tokens(40)
    wait_until(lambda: sdk.chunks > 0, "the SDK streams", 20)

    cluster.kill(HEAD)
    for client in clients:
        client.wait_end()
        assert client.broken is not None, "cut off in the middle, which no SDK takes for an end"
        assert (client.said_done, client.finish_reasons, client.errors) == (False, [], []), client.described()
    sdk.wait_end()
    assert isinstance(sdk.raised, openai.APIConnectionError), repr(sdk.raised)
    patient = SdkClient(cluster.url, max_retries=20, max_tokens=5)

    started_at = time.monotonic()
    cluster.start_head()
    listens_at = time.monotonic()
    after = cluster.wait_ready()
    ready_at = time.monotonic()
    cluster.assert_serves()
    print(f"the head listened {listens_at - started_at:.2f} s after its start, was ready {ready_at - listens_at:.2f} s "
          f"later, served a request {time.monotonic() - ready_at:.2f} s after that")  # fmt: skip
    assert ready_at - listens_at < 4.0 + NOISE_S, "a pause between two tries of a node, and little more"

    assert after["generation"] == before["generation"], "nothing was loaded again"
    assert cluster.pids() == pids
    patient.wait_end()
    assert patient.raised is None, "who comes again is served"
    assert patient.chunks == 5
    wait_until(lambda: {rank["state"] for rank in cluster.view()["ranks"]} == {"ready"}, "the old tasks are over", 20)
    assert_journal_is_whole(cluster, dead_run, dead_pid, before["generation"])
    assert set(known) == set(incident_ids(cluster)), "nothing failed, and nothing is forgotten"
    # The ranks are watched as before: a death is noticed, blamed on the right one, and mended.
    client = cluster.stream()
    os.kill(pids[1], signal.SIGKILL)
    assert client.error()["rank"] == 1
    assert cluster.wait_ready(before["generation"] + 1)["generation"] == before["generation"] + 1
    cluster.assert_serves()


def assert_journal_is_whole(cluster: Cluster, dead_run: str, dead_pid: int, generation: int) -> None:
    """The killed head's tasks have an end, and its generation goes on under the new one's name."""
    told = rows(cluster, "SELECT outcome, detail, count(*) FROM tasks WHERE run_id = ? GROUP BY 1, 2", dead_run)
    cut_off = [count for outcome, detail, count in told if (outcome, detail) == ("failed", _killed(dead_pid))]
    assert cut_off == [CLIENTS], told
    assert rows(cluster, "SELECT count(*) FROM tasks WHERE outcome IS NULL AND run_id = ?", dead_run) == [(0,)]
    new_run = newest_run(cluster)
    assert new_run != dead_run

    def goes_on() -> bool:
        found = rows(cluster, "SELECT ready_at FROM generations WHERE run_id = ? AND generation = ? AND ready_at > 0",
                     new_run, generation)  # fmt: skip
        return len(found) == 1

    wait_until(goes_on, "the generation is written down again", 10)


def _killed(pid: int) -> str:
    return f"The ringwarden that served it (pid {pid}) was killed."


def test_a_rank_that_died_while_no_head_was_there_is_told_and_replaced(cluster: Cluster):
    generation = cluster.view()["generation"]
    pids, node = cluster.pids(), cluster.node_of(1)
    known = incident_ids(cluster)
    cluster.kill(HEAD)
    os.kill(pids[1], signal.SIGKILL)
    wait_until(lambda: is_over(pids[1]), "rank 1 is gone", 10)

    cluster.start_head()
    view = cluster.wait_ready(generation + 1)
    assert view["generation"] == generation + 1, "not adopted: started once more"
    assert all(map(is_over, pids.values())), "the old ranks were released before that"
    (told,) = (one for one in cluster.incidents() if one["incident_id"] not in known)
    assert (told["rank"], told["node"], told["generation"]) == (1, node, generation), told
    assert told["cause"] == "killed_no_stderr", told
    assert told["message"].endswith("The head was away at that time."), told
    wait_until(lambda: cluster.get("/incidents/" + told["incident_id"])["recovered_after_s"] is not None, "healed", 10)
    written = cluster.journals.assert_told(cluster.nodes, told["incident_id"])
    assert [one.rank for one in written.certificates if one.diagnosis.cause == "killed_no_stderr"] == [1]
    cluster.assert_serves()


def test_a_head_that_is_stopped_ends_its_group_and_its_nodes_join_the_next_one(cluster: Cluster):
    generation = cluster.view()["generation"]
    pids, before = cluster.pids(), outages(cluster)
    client = cluster.stream()
    cluster.head.signal(signal.SIGTERM)
    assert cluster.head.wait_end() == ExitCode.OK, cluster.head.log
    error = client.error()
    assert "stopped by its operator" in error["message"], error
    assert all(map(is_over, pids.values())), "the group ended before its head did"
    known = {one.incident_id for one in cluster.journals.why(HEAD)}
    assert error["incident_id"] in known
    wait_all_miss_their_head(cluster, before)
    assert cluster.living_nodes() == cluster.nodes

    cluster.start_head()
    assert cluster.wait_ready(generation + 1)["generation"] == generation + 1
    assert set(incident_ids(cluster)) == known, "ranks that were asked to leave are no incident"
    cluster.assert_serves()


@pytest.mark.soak
def test_a_head_with_another_wish_starts_anew(cluster: Cluster):
    generation = cluster.view()["generation"]
    pids = cluster.pids()
    known = incident_ids(cluster)
    cluster.kill(HEAD)
    cluster.start_head("--ranks=4")
    view = cluster.wait_ready(generation + 1)
    assert (view["generation"], view["world_size"]) == (generation + 1, 4)
    assert all(map(is_over, pids.values()))
    assert incident_ids(cluster) == known
    cluster.assert_serves()
    cluster.kill(HEAD)
    cluster.start_head()
    assert cluster.wait_ready(generation + 2)["world_size"] == 3


@pytest.mark.soak
def test_a_head_waits_for_a_node_that_is_gone_then_does_without_its_group(cluster: Cluster):
    generation = cluster.view()["generation"]
    pids = cluster.pids()
    cluster.kill(HEAD)
    cluster.kill("c")
    cluster.start_head()
    listens_at = time.monotonic()
    view = cluster.wait_state("degraded")
    assert time.monotonic() - listens_at > ADOPTION_WAIT_S - 2.0, "it might have come back"
    assert "Node c is named for this group, but not in the cluster" in view["reason"], view
    wait_until(lambda: all(map(is_over, pids.values())), "what cannot be adopted is released", 10)
    refused = StreamingClient(cluster.url, 3)
    assert refused.error()["code"] == "cluster_degraded", refused.described()
    cluster.start("c")
    assert cluster.wait_ready(generation + 1)["generation"] == generation + 1
    cluster.assert_serves()


@pytest.mark.soak
def test_a_head_that_lost_its_journal_adopts_what_its_nodes_tell_of(cluster: Cluster):
    generation = cluster.view()["generation"]
    pids = cluster.pids()
    cluster.kill(HEAD)
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (cluster.state_dir(HEAD) / name).unlink(missing_ok=True)
    cluster.start_head()
    assert cluster.wait_ready()["generation"] == generation
    assert cluster.pids() == pids
    cluster.assert_serves()


@pytest.mark.soak
def test_a_head_that_was_frozen_goes_on_with_its_streams(cluster: Cluster):
    before = cluster.view()
    pids, said = cluster.pids(), outages(cluster)
    known = incident_ids(cluster)
    client = cluster.stream(2000)
    cluster.head.signal(signal.SIGSTOP)
    wait_all_miss_their_head(cluster, said)
    cluster.head.signal(signal.SIGCONT)
    client.assert_finished()
    assert client.tokens == 2000, "nothing of the answer is lost"
    assert cluster.wait_ready()["generation"] == before["generation"]
    assert cluster.pids() == pids
    assert incident_ids(cluster) == known


def test_nodes_that_are_told_to_end_while_their_head_is_away_take_their_runners_along(cluster: Cluster):
    pids, before = cluster.pids(), outages(cluster)
    cluster.kill(HEAD)
    wait_all_miss_their_head(cluster, before)
    assert not any(map(is_over, pids.values()))
    asked_at = time.monotonic()
    for name in cluster.nodes:
        cluster.agents[name].signal(signal.SIGTERM)
    for name in cluster.nodes:
        assert cluster.agents[name].wait_end() == ExitCode.OK, cluster.log(name)
        assert "Left the cluster." in cluster.log(name)
    took_s = time.monotonic() - asked_at
    print(f"all had left after {took_s:.2f} s")
    assert took_s < 3.0 + NOISE_S
    assert all(map(is_over, pids.values()))
