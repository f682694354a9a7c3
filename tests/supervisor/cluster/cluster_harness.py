"""A real cluster on loopback: a head, and an agent for each node, each a process with a state folder and keys.

    with running_cluster(tmp_path) as cluster:
        cluster.wait_ready()
        cluster.break_next_task({"rank": 1, "step": 5, "action": "sigkill"})
        error = cluster.stream().error()
        cluster.journals.assert_told(cluster.nodes, error["incident_id"])
        cluster.assert_serves()

Three nodes and one scripted rank on each, unless told otherwise. At the end all is ended, and nothing may be left. A
start costs seconds of two cores, so tests share a cluster where they can: what goes wrong is said while it runs.
"""

import json
import re
import signal
import sys
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor.cluster.key_store import HEAD, KeyStore
from tests.end_to_end.service import SCRIPTED_ENGINE, wait_until
from tests.supervisor.cluster.cluster_api import ClusterApi
from tests.supervisor.cluster.cluster_journals import Journals
from tests.supervisor.cluster.cluster_process import MARK, CommandProcess, end_marked, marked_processes, zombies_of
from tests.support.tcp_proxy import ProxyPair

MLX_ENGINE = "runner.mlx_engine:MlxEngine"
QUICK = {
    "backoff_first_s": 0.05,
    "backoff_cap_s": 0.2,
    "restart_intensity": 1000,
    "fatal_grace_s": 0.5,
    "node_return_s": 3.0,
    "start_timeout_s": 60.0,
}
_BUS = re.compile(r"bus on \S+?:(\d+)")


class Cluster(ClusterApi):
    """A running cluster. Everything here blocks, with a deadline.

    Args:
        folder: For state folders and logs.
        nodes: The agents' names.
        arguments: What `up` is told beside addresses.
        environment: For every process.
        proxies: Whether each agent reaches the head through a proxy of its own.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        proxies: bool = False,
    ) -> None:
        self.folder = folder
        self.nodes = tuple(nodes)
        self.mark = uuid.uuid4().hex
        self.proxies: dict[str, ProxyPair] = {}
        self.agents: dict[str, CommandProcess] = {}
        self._arguments = tuple(arguments)
        self._late_faults = folder / "faults.json"
        self._environment = {**environment, MARK: self.mark, "FAULT_ENGINE_FAULTS_FILE": str(self._late_faults)}
        self._has_proxies = proxies
        self._trust()
        self.journals = Journals({name: self.state_dir(name) for name in (HEAD, *self.nodes)})
        self.bus_port = self.api_port = 0
        self.start_head()
        for node in self.nodes:
            self.start(node)

    def state_dir(self, node: str) -> Path:
        """The state folder of a node, or of the head."""
        return self.folder / node

    def log(self, node: str) -> str:
        """What a node, or the head, printed since it was started last."""
        return self.head.log if node == HEAD else self.agents[node].log

    # --- processes ---

    def start_head(self, *more: str) -> None:
        """Start the head, also once more: then at the same ports; what more it is told counts more than before."""
        ports = (f"--port={self.api_port}", f"--bus-port={self.bus_port}", f"--state-dir={self.state_dir(HEAD)}")
        self.head = CommandProcess(["up", *ports, *self._arguments, *more], self._environment, self.folder / "head.log")
        record = self.state_dir(HEAD) / "daemon.json"
        wait_until(lambda: _names_pid(record, self.head.pid) or self.head.exit_code is not None, "the head serves", 30)
        assert self.head.exit_code is None, self.head.log
        self.url: str = json.loads(record.read_bytes())["url"]
        self.api_port = int(self.url.rpartition(":")[2])
        wait_until(lambda: _BUS.search(self.head.log.replace("\n", "")) is not None, "the head names its bus", 10)
        found = _BUS.search(self.head.log.replace("\n", ""))
        assert found is not None
        self.bus_port = int(found[1])

    def start(self, node: str) -> None:
        """Start a node's agent, also once more."""
        if self._has_proxies and node not in self.proxies:
            self.proxies[node] = ProxyPair(self.bus_port)
        port = self.proxies[node].port if node in self.proxies else self.bus_port
        command = ["join", f"127.0.0.1:{port}", f"--state-dir={self.state_dir(node)}"]
        if sys.platform == "linux":  # elsewhere loopback is one address
            command.append(f"--node-address=127.0.0.{self.nodes.index(node) + 2}")
        self.agents[node] = CommandProcess(command, self._environment, self.folder / f"{node}.log")

    def kill(self, node: str) -> None:
        """SIGKILL a node's agent, or the head."""
        (self.head if node == HEAD else self.agents[node]).kill()

    def restart(self, node: str) -> None:
        """SIGKILL a node's agent, and start it again at once."""
        self.kill(node)
        self.start(node)

    def stop(self, node: str) -> None:
        """Let a node's agent fall silent: SIGSTOP."""
        self.agents[node].signal(signal.SIGSTOP)

    def go_on(self, node: str) -> None:
        """Let a stopped agent go on."""
        self.agents[node].signal(signal.SIGCONT)

    def living_nodes(self) -> tuple[str, ...]:
        """The nodes whose agents run; stopped ones do."""
        return tuple(node for node in self.nodes if self.agents[node].exit_code is None)

    # --- what goes wrong ---

    def break_next_task(self, *faults: Mapping[str, Any], at: str = "step") -> None:
        """What goes wrong in the running generation from its next task on: `step` counts from there."""
        self._break(self.view()["generation"], faults, at)

    def break_next_start(self, *faults: Mapping[str, Any], at: str) -> None:
        """What goes wrong in the next generation."""
        self._break(self.view()["generation"] + 1, faults, at)

    def _break(self, generation: int, faults: Sequence[Mapping[str, Any]], at: str) -> None:
        partial = self._late_faults.with_suffix(".partial")
        partial.write_text(json.dumps([{"at": at, "generation": generation, **fault} for fault in faults]))
        partial.replace(self._late_faults)

    # --- the end ---

    def repair(self) -> None:
        """Bring back what an earlier test took away."""
        for node in self.nodes:
            self.go_on(node)
            if self.agents[node].exit_code is not None:
                self.start(node)
        for proxy in self.proxies.values():
            proxy.accept()
            proxy.resume()
            proxy.delay(0)

    def logs(self) -> str:
        """The end of every process's log."""
        return "\n".join(f"--- {name}\n{self.log(name)[-6000:]}" for name in (HEAD, *self.agents))

    def zombies(self) -> list[str]:
        """Dead processes that their living parents in this cluster left unreaped."""
        parents = [process.pid for process in marked_processes(self.mark)]
        return [str(zombie) for parent in parents for zombie in zombies_of(parent)]

    def end(self) -> None:
        """End everything in order; nothing may be left."""
        problems: list[str] = []
        wait_until(lambda: not self.zombies(), "no zombie is left", 10)
        # The head first: then no rank waits for others that are being ended.
        for processes in ([self.head], list(self.agents.values())):
            for process in processes:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGINT)
            for process in processes:
                try:
                    process.wait_end()
                except AssertionError as problem:
                    problems.append(str(problem))
        self.close()
        try:
            wait_until(lambda: not marked_processes(self.mark), "every process of the cluster is gone", 5)
        except AssertionError as problem:
            problems.append(f"{problem}: {end_marked(self.mark)}")
        assert not problems, "\n".join(problems)

    def abandon(self) -> None:
        """Kill everything, after a failed test."""
        for process in (*self.agents.values(), self.head):
            process.kill()
        self.close()
        end_marked(self.mark)

    def close(self) -> None:
        """Close what this process holds."""
        for proxy in self.proxies.values():
            proxy.nodes.close()
            proxy.events.close()

    def _trust(self) -> None:
        """Each side accepts the other's key, as two people with `ringwarden keys` do."""
        head = KeyStore(self.state_dir(HEAD))
        for node in self.nodes:
            own = KeyStore(self.state_dir(node))
            head.accept(node, own.own().public)
            own.accept(HEAD, head.own().public)


def _names_pid(record: Path, pid: int) -> bool:
    return record.exists() and json.loads(record.read_bytes())["pid"] == pid


@contextmanager
def running_cluster(
    folder: Path,
    nodes: Sequence[str] = ("a", "b", "c"),
    *,
    own_node: bool = False,
    ranks: int = 3,
    parallel: str = "pipeline",
    engine: str = SCRIPTED_ENGINE,
    faults: Sequence[Mapping[str, Any]] = (),
    script: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    proxies: bool = False,
) -> Generator[Cluster]:
    """Start a cluster; it is ended at the end, and nothing of it may be left.

    Args:
        folder: For state folders and logs; the test's own.
        nodes: Names of the nodes with an agent.
        own_node: Whether the head's own machine computes, too.
        ranks: How many runners.
        parallel: How the model is split; scripted engines do not care, but placement does.
        engine: `SCRIPTED_ENGINE` or `MLX_ENGINE`.
        faults: What goes wrong on which rank: see `tests/faults/script.py`.
        script: How scripted engines work.
        settings: As in `supervisor/settings.py`, for head and agents.
        proxies: Whether each agent reaches the head through `cluster.proxies[node]`.
    """
    environment = {
        "FAULT_ENGINE_FAULTS": json.dumps(list(faults)),
        "FAULT_ENGINE_SCRIPT": json.dumps(script or {}),
        **{f"RINGWARDEN_{name.upper()}": str(value) for name, value in {**QUICK, **(settings or {})}.items()},
    }
    named = ",".join(([HEAD] if own_node else []) + list(nodes))
    arguments = [f"--nodes={named}", f"--ranks={ranks}", f"--parallel={parallel}", f"--engine={engine}"]
    cluster = Cluster(folder, nodes, arguments, environment, proxies=proxies)
    try:
        yield cluster
    except BaseException:
        print(cluster.logs())
        cluster.abandon()
        raise
    cluster.end()
