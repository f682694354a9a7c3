"""Eight streams at once beside `mlx_lm.server`, in turn."""

import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil

from scripts.benchmarks.daemon import running_daemon
from scripts.benchmarks.mlx_lm_server import mlx_lm_server
from scripts.benchmarks.model import REALISTIC, SMALLEST, random_model
from scripts.benchmarks.row import Row
from scripts.benchmarks.stream import Streamed, stream

NAME = "concurrent"
BUDGET = 1.0
CLIENTS = 8


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield the ratio of total tokens per second."""
    repetitions, tokens = (1, 8) if quick else (5, 60)
    ratios: list[float] = []
    ours: list[float] = []
    theirs: list[float] = []
    our_work: list[float] = []
    their_work: list[float] = []
    with (
        random_model(SMALLEST if quick else REALISTIC) as model,
        mlx_lm_server(model) as (port, server_pid),
        running_daemon(ranks=1, model=model) as daemon,
    ):
        for repetition in range(repetitions + 1):
            common = {"temperature": 0, "stream": True, "max_tokens": tokens}
            work_before = _processor_s(server_pid)
            their_s = _seconds(port, {"model": "default_model", **common}, repetition)
            their_processor_s = _processor_s(server_pid) - work_before
            pids = [daemon.process.pid, *daemon.pids().values()]
            work_before = _processor_s(*pids)
            our_s = _seconds(daemon.port, {"model": daemon.model_id, **common}, repetition)
            our_processor_s = _processor_s(*pids) - work_before
            if repetition == 0:
                continue  # Both sides' first run is for their caches.
            ratios.append(their_s / our_s)
            ours.append(CLIENTS * tokens / our_s)
            theirs.append(CLIENTS * tokens / their_s)
            our_work.append(our_processor_s / (CLIENTS * tokens) * 1000)
            their_work.append(their_processor_s / (CLIENTS * tokens) * 1000)
    yield Row(
        NAME,
        f"{CLIENTS} concurrent streams, total tokens/s / mlx_lm.server",
        statistics.median(ratios),
        "",
        BUDGET,
        repetitions,
        f"median of ratios, {tokens} greedy tokens a client, in turn, first request to last byte; no prompt twice",
        at_least=True,
        details={
            "min": min(ratios),
            "max": max(ratios),
            "ringwarden tokens/s": statistics.median(ours),
            "mlx_lm.server tokens/s": statistics.median(theirs),
            "ringwarden processor ms a token": statistics.median(our_work),
            "mlx_lm.server processor ms a token": statistics.median(their_work),
        },
    )


def _seconds(port: int, request: dict[str, Any], repetition: int) -> float:
    """Let all clients ask at once and return how long the last of them took."""
    answers: list[Streamed] = []

    def ask(client: int) -> None:
        # Prompts of one length and no common beginning: a cache of prompts must not make the work unequal.
        prompt = f"{repetition * CLIENTS + client:03d} the runner and the ring"
        answers.append(stream(port, {**request, "prompt": prompt}))

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(answers) != CLIENTS:
        raise RuntimeError(f"{CLIENTS - len(answers)} of {CLIENTS} clients got no answer")
    for answer in answers:
        answer.require_whole(request["max_tokens"])
    return max(answer.ended_at_s for answer in answers) - started


def _processor_s(*pids: int) -> float:
    """What these processes have computed so far; says something on a busy machine, too."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)
