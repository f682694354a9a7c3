"""The network between a node and its head fails, for a moment or for long, while the nodes themselves live."""

import os
import signal
import time
from collections.abc import Generator
from typing import Any

import pytest

from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster
from tests.supervisor.cluster.streaming_client import StreamingClient

NODES = ("a", "b", "c")
GRACE_S = 0.5
SILENCE_S = 3.0
TOKENS = 200


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    settings = {"node_silence_s": SILENCE_S, "node_return_s": 60.0, "admission_wait_s": 60.0}
    with running_cluster(tmp_path_factory.mktemp("cluster"), settings=settings, proxies=True) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    wait_until(lambda: len(shared.here()) == len(NODES), "all nodes are there", 60)
    shared.wait_ready()
    yield shared
    print(shared.logs())  # shown of a failed test only


class Undisturbed:
    """Streams that have to end as if nothing had happened."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.before = Before(cluster, clients=0)
        self._streams = [StreamingClient(cluster.url, TOKENS) for _ in range(2)]
        for stream in self._streams:
            stream.wait_tokens(10)

    @property
    def tokens(self) -> int:
        """How many came so far."""
        return sum(stream.tokens for stream in self._streams)

    def check(self) -> None:
        """Every token came, once and in order, and nobody saw a failure."""
        for stream in self._streams:
            stream.assert_finished()
            assert stream.text == " ".join(f"word{number}" for number in range(TOKENS)), stream.described()
        view = self._cluster.view()
        assert (view["state"], view["generation"]) == ("ready", self.before.generation)
        assert len(self._cluster.incidents()) == self.before.incidents


@pytest.mark.parametrize("node", ["a", pytest.param("b", marks=pytest.mark.soak)])
def test_connections_that_close_and_come_back_change_nothing(cluster: Cluster, node: str) -> None:
    undisturbed = Undisturbed(cluster)
    for _ in range(3):
        seen = undisturbed.tokens
        cluster.proxies[node].cut()
        wait_until(lambda seen=seen: undisturbed.tokens > seen, "tokens come again", 20)
    undisturbed.check()


def test_a_delay_changes_nothing(cluster: Cluster) -> None:
    for proxy in cluster.proxies.values():
        proxy.delay(0.2)
    undisturbed = Undisturbed(cluster)
    undisturbed.check()


def test_a_pause_that_is_shorter_than_silence_changes_nothing(cluster: Cluster) -> None:
    undisturbed = Undisturbed(cluster)
    cluster.proxies["a"].pause()
    wait_until(lambda: cluster.heard_s_ago("a") > SILENCE_S / 3, "the node was not heard for a while", 10)
    cluster.proxies["a"].resume()
    undisturbed.check()


@pytest.mark.parametrize("node", ["c", *(pytest.param(node, marks=pytest.mark.soak) for node in ("a", "b"))])
def test_connections_that_close_for_long(cluster: Cluster, node: str) -> None:
    before = Before(cluster)
    lost = before.rank_on(node)
    cut_at = time.monotonic()
    cluster.proxies[node].cut(refuse=True)
    others = [name for name in NODES if name != node]
    before.wait_released(cut_at, excused_s=GRACE_S, besides=[lost])
    errors = [client.error() for client in before.clients]
    assert {(error["rank"], error["cause"], error["node"]) for error in errors} == {(lost, "node_lost", node)}
    assert "its connection closed" in errors[0]["message"]
    incident = cluster.journals.assert_told(others, errors[0]["incident_id"])
    assert node in cluster.wait_state("degraded")["reason"]
    assert cluster.agents[node].exit_code is None
    cluster.proxies[node].accept()
    before.assert_serves_again()
    cluster.journals.wait_caught_up(node, incident.incident_id)


@pytest.mark.parametrize(
    "direction",
    [
        pytest.param({"to_server": True, "to_client": False}, id="to the head"),
        pytest.param({"to_server": False, "to_client": True}, id="to the node"),
        pytest.param({}, id="both"),
    ],
)
@pytest.mark.soak
def test_what_is_sent_vanishes(cluster: Cluster, direction: dict[str, Any]) -> None:
    before = Before(cluster)
    lost = before.rank_on("b")
    dropped_at = time.monotonic()
    cluster.proxies["b"].drop(**direction)
    # The node may be the first to give the connection up, and the head has heard of its silence by then.
    before.wait_released(dropped_at, excused_s=SILENCE_S + GRACE_S, besides=[lost])
    errors = [client.error() for client in before.clients]
    assert {(error["rank"], error["cause"], error["node"]) for error in errors} == {(lost, "node_lost", "b")}
    incident = cluster.journals.assert_told(["a", "c"], errors[0]["incident_id"])
    cluster.proxies["b"].stop_dropping()
    before.assert_serves_again()
    cluster.journals.wait_caught_up("b", incident.incident_id)


def test_events_that_were_missed_are_asked_for(cluster: Cluster) -> None:
    before = Before(cluster)
    cluster.proxies["c"].events.cut(refuse=True)
    os.kill(before.pids[1], signal.SIGKILL)
    errors = [client.error() for client in before.clients]
    cluster.journals.assert_told(["a", "b"], errors[0]["incident_id"])
    cluster.journals.wait_caught_up("c", errors[0]["incident_id"])
    before.assert_serves_again()
