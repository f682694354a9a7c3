"""A head that is gone: its nodes say so now and then, keep their runners for the budget, then leave with a sentence."""

import itertools
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest

from supervisor.cluster.agent import Agent
from supervisor.cluster.key_store import HEAD, KeyStore
from supervisor.cluster.outage_state import OutageState
from supervisor.core.outage import OutageLimits
from supervisor.exit_code import ExitCode
from tests.end_to_end.service import wait_until
from tests.supervisor.cluster.cluster_harness import running_cluster
from tests.supervisor.cluster.cluster_process import CommandProcess, is_over

BUDGET_S = 7.0
LOG_INTERVAL_S = 5.0
# What a loaded two-core machine may add before this is a failure of the code.
NOISE_S = 6.0
AWAY = re.compile(r"Head unreachable — retrying \((\d+)s/([\d.]+)s elapsed\)")


def outage_lines(log: str) -> list[tuple[int, float]]:
    """The countdown as it was said: seconds elapsed, and the budget."""
    return [(int(elapsed), float(budget)) for elapsed, budget in AWAY.findall(log)]


def one_line(log: str) -> str:
    """A log without the breaks that a narrow terminal makes."""
    return " ".join(log.split())


def assert_ended_unreached(process: CommandProcess, error: str) -> None:
    """It ended as a node ends that was left alone: its exit code, one sentence with the last error, no traceback."""
    assert process.wait_end() == ExitCode.TEMPORARY, process.log
    told = one_line(process.log)
    found = re.search(r"Head unreachable for (\d+) s, given up\. The last error was: (.*)", told)
    assert found is not None, process.log
    assert error in found[2], process.log
    assert "Traceback" not in process.log, process.log
    assert "fault of ringwarden" not in process.log, process.log


@pytest.mark.soak
def test_nodes_keep_their_runners_for_the_budget_and_leave_with_the_last_error(tmp_path: Path):
    with running_cluster(tmp_path, settings={"outage_budget_s": BUDGET_S}) as cluster:
        cluster.wait_ready()
        pids = {cluster.node_of(rank): pid for rank, pid in cluster.pids().items()}
        client = cluster.stream()
        cluster.kill(HEAD)
        killed_at = time.monotonic()
        client.wait_end()
        assert client.broken is not None, client.described()
        for node in cluster.nodes:
            wait_until(lambda node=node: outage_lines(cluster.log(node)) != [], f"{node} says that the head is away", 5)
            assert outage_lines(cluster.log(node))[0] == (0, BUDGET_S), "a new outage is said at once"
        assert not any(map(is_over, pids.values())), "a head that is gone ends no runner"

        while time.monotonic() < killed_at + BUDGET_S - 1.0:
            assert not any(map(is_over, pids.values())), "runners stay warm for the whole budget"
            assert cluster.living_nodes() == cluster.nodes
            time.sleep(0.05)
        for node, pid in pids.items():
            assert_ended_unreached(cluster.agents[node], f"no connection to 127.0.0.1 port {cluster.bus_port}")
            assert is_over(pid), "its runner went with it"
            lines = outage_lines(cluster.log(node))
            assert len(lines) <= 1 + BUDGET_S / LOG_INTERVAL_S, lines
            assert all(later - earlier >= LOG_INTERVAL_S - 1 for (earlier, _), (later, _) in itertools.pairwise(lines))
        took_s = time.monotonic() - killed_at
        print(f"given up after {took_s:.1f} s of {BUDGET_S:g} s")
        assert took_s < BUDGET_S + NOISE_S


def lone_agent(folder: Path, port: int, budget_s: float, name: str = "lone") -> CommandProcess:
    """An agent that trusts a head which is not there, or is somebody else."""
    own = KeyStore(folder / name)
    own.own()
    own.accept(HEAD, KeyStore(folder / f"{name}-head").own().public)
    arguments = ["join", f"127.0.0.1:{port}", f"--state-dir={folder / name}"]
    return CommandProcess(arguments, {"RINGWARDEN_OUTAGE_BUDGET_S": str(budget_s)}, folder / f"{name}.log")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_head_that_was_never_there_is_given_up_after_the_budget(tmp_path: Path):
    port = free_port()
    agent = lone_agent(tmp_path, port, budget_s=1.5)
    assert_ended_unreached(agent, f"no connection to 127.0.0.1 port {port}: Connection refused")
    assert outage_lines(agent.log)[0] == (0, 1.5)
    assert "See on the head that it runs (ringwarden ps)" in one_line(agent.log)


@pytest.mark.soak
def test_sigterm_ends_a_node_that_waits_for_its_head_at_once(tmp_path: Path):
    agent = lone_agent(tmp_path, free_port(), budget_s=600)
    wait_until(lambda: outage_lines(agent.log) != [], "it says that the head is away", 30)
    asked_at = time.monotonic()
    agent.signal(signal.SIGTERM)
    assert agent.wait_end() == ExitCode.OK, agent.log
    assert time.monotonic() - asked_at < NOISE_S
    assert "Left the cluster." in agent.log
    assert "Traceback" not in agent.log


@pytest.mark.soak
def test_whoever_answers_there_but_is_no_head_is_named_in_the_last_error(tmp_path: Path):
    with Mute() as mute:
        agent = lone_agent(tmp_path, mute.port, budget_s=1.5)
        assert_ended_unreached(agent, f"127.0.0.1 port {mute.port} closed the connection during the handshake")


def test_a_head_is_tried_at_once_for_a_second_then_ever_more_rarely():
    now = 100.0
    state = OutageState(OutageLimits(budget_s=60.0), clock=lambda: now)
    nothing: Any = None
    agent = Agent(cast("Any", nothing), nothing, nothing, nothing, state, nothing)
    pauses: list[float] = []
    while not state.should_shutdown():
        state.record_failure("refused")
        now += (pause_s := agent.pause_s())
        pauses.append(round(pause_s, 3))
    quick = [pause for pause in pauses if pause < 1.0]
    assert 9 <= len(quick) <= 11
    assert pauses[len(quick) : -1] == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]
    assert sum(pauses) == pytest.approx(60.0, abs=0.01), "never past the end of the budget"
    state.record_success()
    state.record_failure("refused")
    assert agent.pause_s() == quick[0], "a recovery begins anew"


@pytest.mark.soak
def test_the_pauses_between_real_tries(tmp_path: Path):
    with Mute() as mute:
        agent = lone_agent(tmp_path, mute.port, budget_s=28.0)
        agent.wait_end(60)
    # Each try connects twice, for requests and for events.
    gaps = [later - earlier for earlier, later in itertools.pairwise(mute.accepted_at) if later - earlier > 1.5]
    assert len(gaps) == 5, gaps
    for gap, wanted in zip(gaps, (2.0, 4.0, 8.0, 10.0), strict=False):
        assert wanted <= gap + 0.3 < wanted + NOISE_S, gaps
    elapsed = [seconds for seconds, _ in outage_lines(agent.log)]
    assert elapsed == sorted(elapsed)


class Mute:
    """Takes each connection and closes it: a port with somebody else behind it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted_at: list[float] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Mute":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted_at.append(time.monotonic())
            connection.close()
