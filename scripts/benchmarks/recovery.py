"""From a crash to serving again, beside a cold start and beside what mlx-lm alone needs to load."""

import os
import signal
import statistics
import time
from collections.abc import Iterator

from scripts.benchmarks.bare_ranks import bare_ranks
from scripts.benchmarks.daemon import Daemon, running_daemon
from scripts.benchmarks.model import BUILT_IN
from scripts.benchmarks.row import Row
from supervisor.model_source import resolve_model

NAME = "recovery"
RANKS = 2
BACKOFF_S = 0.05
_LOOK_EVERY_S = 0.02
_ENVIRONMENT = {
    "RINGWARDEN_RESTART_INTENSITY": "1000",
    "RINGWARDEN_BACKOFF_FIRST_S": str(BACKOFF_S),
    "RINGWARDEN_BACKOFF_CAP_S": str(BACKOFF_S),
}


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield cold start and recovery; the load of bare ranks is the recovery's budget."""
    rounds = 1 if quick else 3
    model = str(resolve_model(BUILT_IN).path)
    bare = [_bare_start_s(model) for _ in range(rounds)]
    cold: list[float] = []
    recovered: list[float] = []
    phases: dict[str, list[float]] = {}
    for _ in range(rounds):
        with running_daemon(ranks=RANKS, model=model, environment=_ENVIRONMENT, wait=False) as daemon:
            cold.append(daemon.until_ready() - daemon.started_at_s)
            recovered.append(_recovery_s(daemon, phases))
    how = f"2 real ranks of `tiny`; looked at every {_LOOK_EVERY_S * 1000:g} ms; median"
    yield _row("2 bare mlx-lm ranks: import, connect, load", bare, None, "the yardstick: 2 processes at once; median")
    yield _row("cold start of the daemon until it serves", cold, None, how)
    budget = statistics.median(bare) + BACKOFF_S
    details = {f"{phase} at": statistics.median(seconds) for phase, seconds in phases.items()}
    yield _row("SIGKILL of rank 1 -> serving again", recovered, budget, f"{how}; backoff {BACKOFF_S:g} s", details)


def _row(
    what: str, seconds: list[float], budget: float | None, how: str, details: dict[str, float] | None = None
) -> Row:
    figures = {"min": min(seconds), "max": max(seconds), **(details or {})}
    return Row(NAME, what, statistics.median(seconds), "s", budget, len(seconds), how, details=figures)


def _bare_start_s(model: str) -> float:
    started = time.monotonic()
    with bare_ranks(model, RANKS):
        return time.monotonic() - started


def _recovery_s(daemon: Daemon, phases: dict[str, list[float]]) -> float:
    """Kill rank 1 of generation 1; note when the slowest rank of the next one is first seen in each phase."""
    pid = daemon.pids()[1]
    seen: dict[str, float] = {}
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    def serves_again() -> bool:
        cluster = daemon.cluster()
        if cluster["generation"] < 2:
            return False
        for rank in cluster["ranks"]:
            seen.setdefault(f"rank {rank['rank']} {rank['state']}", time.monotonic() - killed_at)
        return cluster["state"] == "ready"

    ready_at = daemon.until(serves_again, "generation 2 serves", _LOOK_EVERY_S)
    for phase, at_s in seen.items():
        if phase.startswith("rank 1"):
            phases.setdefault(phase, []).append(at_s)
    return ready_at - killed_at
