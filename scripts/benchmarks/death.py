"""From SIGKILL of a rank to what is told about it."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from scripts.benchmarks.daemon import Daemon
from scripts.benchmarks.row import Row, percentile, spread
from scripts.benchmarks.scripted import scripted_daemon
from scripts.benchmarks.stream import Streamed, stream
from supervisor.core.restart import RestartLimits
from tests.supervisor.group_harness import RunningGroup, listen, running_group

NAME = "death"
PUBLISHED_BUDGET_MS = 50.0
CLIENT_BUDGET_MS = 100.0
RANKS = 2
TOKENS_BEFORE_DEATH = 3
RESTARTS = {
    "RINGWARDEN_RESTART_INTENSITY": "1000",
    "RINGWARDEN_BACKOFF_FIRST_S": "0.05",
    "RINGWARDEN_BACKOFF_CAP_S": "0.05",
}


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield what is known when: exit noticed, `RunnerFailed` published, client told."""
    deaths = 2 if quick else 60
    noticed, published = anyio.run(_in_process, deaths)
    how = "2 scripted ranks in mid-stream, killed in turn; group supervisor in this process, one monotonic clock"
    yield Row(
        NAME, "SIGKILL -> exit noticed, p99", percentile(noticed, 99), "ms", None, deaths, how, False, spread(noticed)
    )
    yield Row(
        NAME,
        "SIGKILL -> RunnerFailed published, p99",
        percentile(published, 99),
        "ms",
        PUBLISHED_BUDGET_MS,
        deaths,
        how,
        details=spread(published),
    )
    told = _through_http(deaths)
    yield Row(
        NAME,
        "SIGKILL -> client has its error, p99",
        percentile(told, 99),
        "ms",
        CLIENT_BUDGET_MS,
        deaths,
        "the same through `ringwarden up` and HTTP; the moment is recv of the error event",
        details=spread(told),
    )


async def _in_process(deaths: int) -> tuple[list[float], list[float]]:
    noticed: list[float] = []
    published: list[float] = []
    restart = RestartLimits(first_delay_s=0.05, cap_s=0.05, intensity=10_000)
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        async with running_group(Path(folder), world_size=RANKS, restart=restart) as group:
            for number in range(deaths):
                await group.ready(number + 1)
                killed_at = await _kill(group, number % RANKS)
                exited_at, published_at = await _news(group, number)
                noticed.append((exited_at - killed_at) * 1000)
                published.append((published_at - killed_at) * 1000)
    return noticed, published


async def _kill(group: RunningGroup, rank: int) -> float:
    task = group.start_task(f"task-{group.supervisor.group.generation}")
    await listen(task, TOKENS_BEFORE_DEATH)
    pid = group.pids()[rank]
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return killed_at


async def _news(group: RunningGroup, number: int) -> tuple[float, float]:
    """Return when the killed rank's exit was noticed and when its failure was published."""
    recorder, generation, rank = group.recorder, number + 1, number % RANKS

    def positions() -> list[int]:
        failed = enumerate(recorder.failed)
        return [place for place, one in failed if (one.generation, one.rank) == (generation, rank)]

    await group.until(lambda: bool(positions()), "the death was published")
    (place,) = positions()
    (certificate,) = recorder.failed[place].incident.certificates
    return certificate.died_at_s, recorder.failed_at[place]


def _through_http(deaths: int) -> list[float]:
    told: list[float] = []
    with scripted_daemon(ranks=RANKS, environment=RESTARTS) as daemon:
        for number in range(deaths):
            daemon.until_ready(number + 1)
            told.append(_one_death(daemon, number % RANKS))
    return told


def _one_death(daemon: Daemon, rank: int) -> float:
    pid = daemon.pids()[rank]
    heard, told_at = threading.Semaphore(0), [0.0]
    answers: list[Streamed] = []

    def note(data: bytes) -> None:
        if b'"error":' in data:
            told_at[0] = time.monotonic()
        for _ in range(data.count(b'"text":"word') + data.count(b'"text":" word')):
            heard.release()

    client = threading.Thread(target=lambda: answers.append(stream(daemon.port, daemon.request(), note)))
    client.start()
    for _ in range(TOKENS_BEFORE_DEATH):
        if not heard.acquire(timeout=20):
            raise RuntimeError("the stream did not begin")
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    client.join(30)
    if not told_at[0]:
        raise RuntimeError(f"the client was told nothing: {answers[0].body[-300:] if answers else b''!r}")
    return (told_at[0] - killed_at) * 1000
