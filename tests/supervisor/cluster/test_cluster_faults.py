"""A rank of a cluster dies, in every way: right rank, right cause, one truth for everybody, and it serves again."""

import os
import signal
import time
from collections.abc import Generator
from typing import Any

import pytest

from tests.supervisor.cluster.cluster_checks import Before
from tests.supervisor.cluster.cluster_harness import Cluster, running_cluster

RING_ABORT = "[ring] Too many send/recv errors. Aborting..."
METAL_TIMEOUT = "[METAL] Command buffer execution failed: Caused GPU Timeout Error (00000002:kIOGPUCommandBuffer)."
# A name, what is done in order, and the cause that must be named.
DEATHS: list[tuple[str, list[dict[str, Any]], str]] = [
    ("raise", [{"action": "raise"}], "python_exception_other"),
    ("Metal timeout", [{"action": "raise", "message": METAL_TIMEOUT}], "metal_gpu_timeout"),
    ("_exit(0)", [{"action": "exit", "exit_code": 0}], "exited_early"),
    ("_exit(3)", [{"action": "exit", "exit_code": 3}], "unknown"),
    ("SIGSEGV", [{"action": "sigsegv"}], "segfault"),
    ("abort after a ring line", [{"action": "sigabrt", "line": RING_ABORT}], "ring_abort"),
    ("SIGKILL in the middle of a frame", [{"action": "half_frame"}, {"action": "sigkill"}], "killed_no_stderr"),
    ("SIGKILL after a flood", [{"action": "flood"}, {"action": "sigkill"}], "killed_no_stderr"),
    ("SIGKILL, a grandchild stays", [{"action": "grandchild", "seconds": 60}, {"action": "sigkill"}],
     "killed_no_stderr"),
    ("deaf, then raise", [{"action": "ignore_signals"}, {"action": "raise"}], "python_exception_other"),
    ("garbage frame", [{"action": "garbage_frame"}, {"action": "hang"}], "protocol_violation"),
    ("fatal line, no exit", [{"action": "print_line", "line": RING_ABORT}, {"action": "hang"}], "ring_abort"),
]  # fmt: skip
STARTS: list[tuple[str, int, list[dict[str, Any]], str]] = [
    ("import", 1, [{"action": "raise"}], "python_exception_other"),
    ("connect", 2, [{"action": "sigkill"}], "killed_no_stderr"),
    ("load", 0, [{"action": "sigsegv"}], "segfault"),
    ("load", 2, [{"action": "exit", "exit_code": 0}], "exited_early"),
    ("warm_up", 0, [{"action": "garbage_frame"}, {"action": "hang"}], "protocol_violation"),
    ("warm_up", 1, [{"action": "sigabrt", "line": RING_ABORT}], "ring_abort"),
]
RANKS = 3


def by_rank() -> list[Any]:
    """Every death on every rank; by default each death on one rank, so that each rank has every third of them."""
    return [
        pytest.param(
            rank, actions, cause, id=f"{name}-{rank}", marks=[] if index % RANKS == rank else [pytest.mark.soak]
        )
        for index, (name, actions, cause) in enumerate(DEATHS)
        for rank in range(RANKS)
    ]


def by_place() -> list[Any]:
    """Deaths while starting; by default every second, because each takes two starts."""
    return [
        pytest.param(*case, id=f"{case[0]}-{case[1]}", marks=[pytest.mark.soak] if index % 2 else [])
        for index, case in enumerate(STARTS)
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), settings={"stall_timeout_s": 3, "stall_floor_s": 2}) as it:
        yield it


@pytest.fixture
def cluster(shared: Cluster) -> Generator[Cluster]:
    shared.repair()
    shared.wait_ready()
    yield shared
    print(shared.logs())  # shown of a failed test only


@pytest.mark.parametrize(("rank", "actions", "cause"), by_rank())
def test_a_death_while_serving(cluster: Cluster, rank: int, actions: list[dict[str, Any]], cause: str) -> None:
    before = Before(cluster)
    cluster.break_next_task(*[{"rank": rank, "step": 4, **action} for action in actions])
    last = cluster.stream()
    error = before.assert_one_truth([rank], cause, [last])
    assert error["node"] == before.nodes[rank]
    before.wait_released(last.ended_at or 0.0)
    before.assert_serves_again()


@pytest.mark.parametrize("rank", range(RANKS))
def test_a_rank_killed_from_outside(cluster: Cluster, rank: int) -> None:
    before = Before(cluster)
    killed_at = time.monotonic()
    os.kill(before.pids[rank], signal.SIGKILL)
    before.wait_released(killed_at)
    before.assert_one_truth([rank], "killed_no_stderr")
    before.assert_serves_again()


@pytest.mark.parametrize(("at", "rank", "actions", "cause"), by_place())
def test_a_death_while_starting(
    cluster: Cluster, at: str, rank: int, actions: list[dict[str, Any]], cause: str
) -> None:
    before = Before(cluster, clients=0)
    cluster.break_next_start(*[{"rank": rank, **action} for action in actions], at=at)
    before.kill_a_rank()
    # This request waits for the group, over both deaths.
    cluster.assert_serves()
    cluster.wait_ready(before.generation + 2)
    newest, oldest = cluster.incidents()[:2]
    assert (oldest["rank"], oldest["cause"], oldest["generation"]) == (0, "killed_no_stderr", before.generation)
    assert (newest["rank"], newest["cause"], newest["generation"]) == (rank, cause, before.generation + 1)
    for one in (newest, oldest):
        told = cluster.journals.assert_told(cluster.nodes, one["incident_id"])
        assert told.message == one["message"]
    before.assert_serves_again(incidents=2)


def test_two_ranks_killed_together(cluster: Cluster) -> None:
    before = Before(cluster)
    for rank in (1, 2):
        os.kill(before.pids[rank], signal.SIGKILL)
    before.assert_one_truth([1, 2], "killed_no_stderr")
    before.assert_serves_again()


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.soak), 1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_rank_that_stops_is_named_with_the_stacks_of_all(cluster: Cluster, rank: int) -> None:
    before = Before(cluster)
    os.kill(before.pids[rank], signal.SIGSTOP)
    error = before.assert_one_truth([rank], "stalled")
    before.assert_serves_again()
    incident = cluster.journals.incident("head", error["incident_id"])
    assert incident is not None
    stacks = {certificate.rank: certificate.stacks for certificate in incident.certificates}
    assert sorted(stacks) == list(range(RANKS))
    assert all("Thread" in text for text in stacks.values()), stacks
