"""What must hold after every death in a cluster: one truth, told to everybody, and nothing left of the old ranks."""

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from diagnostics.incident import Incident
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import Cluster
from tests.supervisor.cluster.cluster_process import is_over
from tests.supervisor.cluster.streaming_client import StreamingClient

RELEASED_WITHIN_S = 1.0
# What a loaded two-core machine may add before this is a failure of the code.
NOISE_S = 4.0
# What clients match on, by the cause.
CODES = {"node_lost": "cluster_degraded", "stalled": "decode_stalled"}


class Before:
    """What a cluster did before something went wrong: its generation, its runners, and who is listening.

    Args:
        cluster: It serves.
        clients: How many streams are started.
    """

    def __init__(self, cluster: Cluster, clients: int = 2) -> None:
        view = cluster.wait_ready()
        self.cluster = cluster
        self.generation: int = view["generation"]
        self.pids: dict[int, int] = {rank["rank"]: rank["pid"] for rank in view["ranks"]}
        self.nodes: dict[int, str] = {rank["rank"]: rank["node"] for rank in view["ranks"]}
        self.incidents = len(cluster.incidents())
        self.agents = dict(cluster.agents)
        self.clients = [cluster.stream() for _ in range(clients)]

    def witnesses(self) -> list[str]:
        """The nodes whose agents have run all the time since."""
        now = self.cluster.agents
        return [name for name in self.cluster.living_nodes() if now[name] is self.agents[name]]

    def rank_on(self, node: str) -> int:
        """The first rank that the node had."""
        return min(rank for rank, name in self.nodes.items() if name == node)

    def kill_a_rank(self) -> None:
        """Let the generation end; the head has noticed when this returns."""
        os.kill(self.pids[0], signal.SIGKILL)
        wait_until(self._is_over, "the head notices the death", 10)

    def _is_over(self) -> bool:
        view = self.cluster.view()
        return view["state"] != "ready" or view["generation"] > self.generation

    def wait_released(self, since: float, excused_s: float = 0.0, besides: Iterable[int] = ()) -> float:
        """Wait until the old ranks' processes are gone; it may take a second, and what is excused.

        Args:
            since: When it went wrong; monotonic.
            excused_s: What the head waits for before it knows.
            besides: Ranks that nobody can end now.
        """
        wanted = {rank: pid for rank, pid in self.pids.items() if rank not in set(besides)}
        wait_until(lambda: all(map(is_over, wanted.values())), f"the old ranks {wanted} are gone", 20)
        took_s = time.monotonic() - since
        print(f"released after {took_s:.3f} s, of which {excused_s:g} s to be sure")
        assert took_s < excused_s + RELEASED_WITHIN_S + NOISE_S
        return took_s

    def assert_one_truth(
        self,
        ranks: Sequence[int],
        cause: str,
        clients: Sequence[StreamingClient] = (),
    ) -> Mapping[str, Any]:
        """Every client has one end, all the same; head and living nodes wrote down the same. Returns what clients saw.

        Args:
            ranks: One of them is to be blamed; when there are several, it may also be undetermined among them.
            cause: The one that must be named.
            clients: Others that were listening.
        """
        errors = [client.error() for client in (*self.clients, *clients)]
        (incident_id,) = {error["incident_id"] for error in errors}
        told = self.assert_told(ranks, cause, incident_id)
        for error in errors:
            assert (error["rank"], error["cause"], error["code"]) == (
                told.rank,
                cause,
                CODES.get(cause, "runner_crashed"),
            ), error
            assert error["message"].startswith(told.message), (error, told)
            assert error["request_id"] in told.task_ids
        return errors[0]

    def assert_told(self, ranks: Sequence[int], cause: str, incident_id: str) -> Incident:
        """The incident of this generation, the same at the head and on every node that was there."""
        told = self.cluster.journals.assert_told(self.witnesses(), incident_id)
        assert (told.cause, told.generation) == (cause, self.generation), told
        assert told.rank in ranks or (len(ranks) > 1 and set(told.suspects) <= set(ranks)), told
        if told.rank is not None:
            assert f"ank {told.rank}" in told.message or f"ode {self.nodes[told.rank]}" in told.message, told
            assert told.node == self.nodes[told.rank]
        return told

    def assert_serves_again(self, incidents: int = 1) -> dict[str, Any]:
        """The next generation serves; what happened was one incident. Returns the view."""
        view = self.cluster.wait_ready(self.generation + 1)
        found = self.cluster.incidents()
        assert len(found) == self.incidents + incidents, [one["message"] for one in found]
        self.cluster.assert_serves()
        assert all(map(is_over, self.pids.values()))
        wait_until(lambda: not self.cluster.zombies(), "no zombie is left", 10)
        return view
