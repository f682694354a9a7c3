"""What the head of a cluster under test says, and clients of its API."""

from abc import abstractmethod
from typing import Any

import httpx2

from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_process import CommandProcess
from tests.supervisor.cluster.streaming_client import StreamingClient

READY_DEADLINE_S = 60.0


class ClusterApi:
    """The API of a running cluster. Everything here blocks, with a deadline."""

    head: CommandProcess
    url: str

    @abstractmethod
    def logs(self) -> str:
        """The end of every process's log."""

    def get(self, path: str) -> Any:
        """GET a JSON body from the head, whatever the status."""
        return httpx2.get(self.url + path, timeout=30).json()

    def view(self) -> dict[str, Any]:
        """`/cluster`."""
        return self.get("/cluster")

    def pids(self) -> dict[int, int]:
        """The runners' pids by rank; those that run."""
        return {rank["rank"]: rank["pid"] for rank in self.view()["ranks"] if rank["pid"] is not None}

    def node_of(self, rank: int) -> str:
        """Where a rank runs now."""
        return next(one["node"] for one in self.view()["ranks"] if one["rank"] == rank)

    def rank_on(self, node: str) -> int:
        """The first rank of a node."""
        return next(one["rank"] for one in self.view()["ranks"] if one["node"] == node)

    def here(self) -> list[str]:
        """The nodes that are there, by name."""
        return [node["node"] for node in self.view()["nodes"] if node["is_here"]]

    def heard_s_ago(self, node: str) -> float:
        """How long the head has not heard of a node."""
        return next(one["heard_s_ago"] for one in self.view()["nodes"] if one["node"] == node)

    def wait_state(self, state: str, generation: int = 0, deadline_s: float = READY_DEADLINE_S) -> dict[str, Any]:
        """Wait until the group is in a state, in this generation or a later one; return the view."""
        view: dict[str, Any] = {}

        def holds() -> bool:
            assert self.head.exit_code is None, self.head.log
            view.update(self.view())
            return view["state"] == state and view["generation"] >= generation

        try:
            wait_until(holds, f"the group is {state} in generation {generation} or later", deadline_s)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it is {view}\n{self.logs()}") from None
        return view

    def wait_ready(self, generation: int = 1, deadline_s: float = READY_DEADLINE_S) -> dict[str, Any]:
        """Wait until this generation, or a later one, serves; return the view."""
        return self.wait_state("ready", generation, deadline_s)

    def incidents(self) -> list[dict[str, Any]]:
        """`/incidents`, newest first."""
        return self.get("/incidents")["incidents"]

    def stream(self, max_tokens: int = 1_000_000) -> StreamingClient:
        """Start a streaming client; return it when tokens come."""
        client = StreamingClient(self.url, max_tokens)
        client.wait_tokens()
        return client

    def assert_serves(self, max_tokens: int = 3) -> None:
        """A new request is answered; it waits for a restarting group as any client's does."""
        client = StreamingClient(self.url, max_tokens)
        client.assert_finished()
        assert client.tokens == max_tokens, client.described()
