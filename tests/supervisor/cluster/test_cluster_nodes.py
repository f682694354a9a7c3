"""A node of a cluster dies, falls silent or leaves for good: its ranks are lost with it, and the group finds a way."""

import signal
import time
from collections.abc import Generator

import pytest

from supervisor.exit_code import ExitCode
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster
from tests.supervisor.cluster.cluster_process import is_over
from tests.supervisor.cluster.streaming_client import StreamingClient

NODES = ("a", "b", "c")
GRACE_S = 0.5
SILENCE_S = 3.0
# Longer than a loaded machine needs to start an agent.
RETURN_S = 60.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    settings = {"node_silence_s": SILENCE_S, "node_return_s": RETURN_S, "admission_wait_s": 60}
    with running_cluster(tmp_path_factory.mktemp("cluster"), settings=settings) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    wait_until(lambda: len(shared.here()) == len(NODES), "all nodes are there", 60)
    assert sorted(rank["node"] for rank in shared.wait_ready()["ranks"]) == list(NODES)
    yield shared
    print(shared.logs())  # shown of a failed test only


@pytest.mark.parametrize("node", [one if one == "b" else pytest.param(one, marks=pytest.mark.soak) for one in NODES])
def test_an_agent_that_is_killed_and_comes_back(cluster: Cluster, node: str) -> None:
    before = Before(cluster)
    killed_at = time.monotonic()
    cluster.kill(node)
    before.wait_released(killed_at, excused_s=GRACE_S)
    error = before.assert_one_truth([before.rank_on(node)], "node_lost")
    assert error["node"] == node
    assert node in cluster.wait_state("degraded")["reason"]
    cluster.start(node)
    view = before.assert_serves_again()
    assert sorted(rank["node"] for rank in view["ranks"]) == list(NODES)
    cluster.journals.wait_caught_up(node, error["incident_id"])


@pytest.mark.soak
@pytest.mark.parametrize("node", NODES)
def test_an_agent_that_is_killed_and_started_at_once(cluster: Cluster, node: str) -> None:
    before = Before(cluster)
    killed_at = time.monotonic()
    cluster.restart(node)
    before.wait_released(killed_at, excused_s=GRACE_S)
    before.assert_one_truth([before.rank_on(node)], "node_lost")
    before.assert_serves_again()


@pytest.mark.soak
def test_an_agent_that_is_stopped_is_silent_and_its_rank_lost(cluster: Cluster) -> None:
    before = Before(cluster)
    lost = before.rank_on("b")
    stopped_at = time.monotonic()
    cluster.stop("b")
    # Whether the runner of a stopped agent ends is its own affair, until the agent goes on.
    before.wait_released(stopped_at, excused_s=SILENCE_S, besides=[lost])
    errors = [client.error() for client in before.clients]
    assert {(error["rank"], error["cause"], error["node"]) for error in errors} == {(lost, "node_lost", "b")}
    assert "nothing was heard of it" in errors[0]["message"]
    told = cluster.journals.assert_told(["a", "c"], errors[0]["incident_id"])
    cluster.go_on("b")
    before.assert_serves_again()
    cluster.journals.wait_caught_up("b", told.incident_id)
    # It came back over its old connection: that this one closes has to be noticed all the same.
    again = Before(cluster)
    cluster.kill("b")
    assert "its connection closed" in again.assert_one_truth([again.rank_on("b")], "node_lost")["message"]


def test_an_agent_that_stops_for_a_moment_is_not_missed(cluster: Cluster) -> None:
    before = Before(cluster, clients=0)
    clients = [StreamingClient(cluster.url, 200) for _ in range(2)]
    for client in clients:
        client.wait_tokens(10)
    # Rank 0's node: the tokens themselves stand still.
    cluster.stop(before.nodes[0])
    seen = clients[0].tokens
    heard_s = next(node["heard_s_ago"] for node in cluster.view()["nodes"] if node["node"] == before.nodes[0])
    wait_until(
        lambda: cluster.heard_s_ago(before.nodes[0]) > max(1.2, heard_s), "the node was not heard for a while", 10
    )
    cluster.go_on(before.nodes[0])
    for client in clients:
        client.assert_finished()
        assert client.tokens == 200 >= seen
    assert cluster.view()["generation"] == before.generation
    assert len(cluster.incidents()) == before.incidents


def test_an_agent_that_is_killed_while_the_group_loads(cluster: Cluster) -> None:
    before = Before(cluster, clients=0)
    cluster.break_next_start({"rank": 0, "action": "sleep", "seconds": 60}, at="load")
    before.kill_a_rank()
    wait_until(
        lambda: cluster.view()["generation"] > before.generation and cluster.view()["ranks"][0]["state"] == "loading",
        "the next generation loads",
        60,
    )
    waiting = StreamingClient(cluster.url, 5)
    loading = cluster.pids()
    on_b = cluster.rank_on("b")
    killed_at = time.monotonic()
    cluster.restart("b")
    wait_until(lambda: all(map(is_over, loading.values())), "the ranks that loaded are gone", 20)
    print(f"released after {time.monotonic() - killed_at:.3f} s")
    cluster.wait_ready(before.generation + 2)
    newest = cluster.incidents()[0]
    assert (newest["rank"], newest["cause"], newest["generation"]) == (on_b, "node_lost", before.generation + 1)
    for name in NODES:
        cluster.journals.wait_caught_up(name, newest["incident_id"])
    waiting.assert_finished()
    before.assert_serves_again(incidents=2)


@pytest.mark.soak
def test_all_nodes_killed_together(cluster: Cluster) -> None:
    before = Before(cluster)
    for node in NODES:
        cluster.agents[node].signal(signal.SIGKILL)
    killed_at = time.monotonic()
    before.wait_released(killed_at)
    errors = [client.error() for client in before.clients]
    assert {error["cause"] for error in errors} == {"node_lost"}
    reason = cluster.wait_state("degraded")["reason"]
    assert all(node in reason for node in NODES), reason
    for node in NODES:
        cluster.kill(node)
        cluster.start(node)
    before.assert_serves_again()
    for name in NODES:
        cluster.journals.wait_caught_up(name, errors[0]["incident_id"])


def test_an_agent_that_leaves_with_ctrl_c_says_so(cluster: Cluster) -> None:
    before = Before(cluster)
    cluster.agents["c"].signal(signal.SIGINT)
    assert cluster.agents["c"].wait_end() == ExitCode.OK
    errors = [client.error() for client in before.clients]
    assert {error["incident_id"] for error in errors} == {errors[0]["incident_id"]}
    assert errors[0]["rank"] == before.rank_on("c")
    assert "stopped by its operator" in errors[0]["message"]
    cluster.start("c")
    cluster.wait_ready(before.generation + 1)
    cluster.assert_serves()
    for name in NODES:
        cluster.journals.wait_caught_up(name, errors[0]["incident_id"])
