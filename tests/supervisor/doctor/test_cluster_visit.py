"""A visit on the head and on the nodes of a real cluster: before and after a node is killed."""

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.certificate import OUR_SYSTEM
from supervisor.cluster.key_store import HEAD
from supervisor.doctor.finding import CheckState, Finding
from supervisor.doctor.visit import Order, Visit
from supervisor.settings_resolution import resolve_settings
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster

pytestmark = pytest.mark.soak


def visited(folder: Path, head: tuple[str, int] | None = None, **flags: Any) -> dict[str, Finding]:
    """All findings, with a copy of MLX that fails at once: it is not the point here."""
    resolved = resolve_settings({"state_dir": folder, **flags}, {}, None)
    environment = {**os.environ, "PYTHONPATH": str(folder.parent / "broken")}
    order = Order(resolved=resolved, config=None, environment=environment, system=OUR_SYSTEM, head=head)
    return {finding.check: finding for finding in Visit(order).findings()}


def visited_head(cluster: Cluster) -> dict[str, Finding]:
    flags = {"nodes": "a,b", "port": cluster.api_port, "bus_port": cluster.bus_port}
    return visited(cluster.state_dir(HEAD), **flags)


def test_head_and_nodes_tell_the_same_story(tmp_path: Path):
    (tmp_path / "broken" / "mlx").mkdir(parents=True)
    (tmp_path / "broken" / "mlx" / "__init__.py").write_text("raise ImportError('not here')")
    with running_cluster(tmp_path, ("a", "b"), ranks=2, settings={"node_return_s": 60}) as cluster:
        cluster.wait_ready()
        whole = visited_head(cluster)
        for check in ("port-api", "port-bus", "port-bus-events"):
            assert "own daemon" in whole[check].evidence[0], whole[check]
        for check in ("node a", "node b", "keys-trusted", "key-own", "daemon"):
            assert whole[check].state is CheckState.OK, whole[check]

        node = visited(cluster.state_dir("a"), ("127.0.0.1", cluster.bus_port))
        for check in ("head", "clock", "node a", "node b", "daemon"):
            assert node[check].state is CheckState.OK, node[check]

        cluster.kill("b")
        wait_until(lambda: visited_head(cluster)["daemon"].state is CheckState.FAILED, "the group waits for the node")
        broken = visited_head(cluster)
        assert broken["node b"].state is CheckState.FAILED
        assert broken["node a"].state is CheckState.OK
        assert (broken["daemon"].state, broken["daemon"].exit_code) == (CheckState.FAILED, 75)
        assert broken["last-incident"].state is CheckState.WARNING
        assert "node_lost" in broken["last-incident"].evidence[0]
