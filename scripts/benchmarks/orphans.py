"""How long runners outlive a supervisor that was killed."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence

import psutil

from scripts.benchmarks.daemon import Daemon
from scripts.benchmarks.row import Row, spread
from scripts.benchmarks.scripted import scripted_daemon
from scripts.benchmarks.stream import stream

NAME = "orphans"
BUDGET_S = 1.0
RANKS = 2
DEADLINE_S = 20.0
_HOLD_THE_GIL = [{"rank": rank, "step": 5, "action": "hold_gil", "seconds": 60.0} for rank in range(RANKS)]


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield the longest time for idle, computing and stuck runners."""
    rounds = 1 if quick else 5
    for kind in ("idle", "computing", "holding the GIL in C"):
        seconds = [_one(kind) for _ in range(rounds)]
        how = "SIGKILL of `ringwarden up` until both scripted runners have exited, looked at every millisecond; worst"
        yield Row(
            NAME,
            f"supervisor killed -> runners gone, {kind}",
            max(seconds),
            "s",
            BUDGET_S,
            rounds,
            how,
            False,
            spread(seconds),
        )


def _one(kind: str) -> float:
    faults = _HOLD_THE_GIL if kind.startswith("holding") else []
    with scripted_daemon(ranks=RANKS, environment={"FAULT_ENGINE_FAULTS": json.dumps(faults)}) as daemon:
        pids = list(daemon.pids().values())
        if kind != "idle":
            _begin_a_stream(daemon)
        if faults:
            # Both ranks have entered the call by now: a stream of 10 ms a token is at its fifth step long before.
            time.sleep(0.3)
        os.kill(daemon.process.pid, signal.SIGKILL)
        return _until_gone(pids)


def _begin_a_stream(daemon: Daemon) -> None:
    begun = threading.Event()

    def client() -> None:
        try:
            stream(daemon.port, daemon.request(), lambda data: begun.set())
        except OSError:
            begun.set()

    threading.Thread(target=client, daemon=True).start()
    if not begun.wait(20):
        raise RuntimeError("the stream did not begin")


def _until_gone(pids: Sequence[int]) -> float:
    killed_at = time.monotonic()
    while not all(_has_exited(pid) for pid in pids):
        if time.monotonic() - killed_at > DEADLINE_S:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            raise RuntimeError(f"runners {pids} outlived their supervisor by {DEADLINE_S:g} s")
        time.sleep(0.001)
    return time.monotonic() - killed_at


def _has_exited(pid: int) -> bool:
    """True also for a zombie that nobody reaps: its resources are free."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
