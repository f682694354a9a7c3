"""The private channel: what arrives of what a killed runner wrote, how fast it carries, how late a frame is."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from scripts.benchmarks.row import Row, percentile, spread
from scripts.benchmarks.scripted import CLOCK
from tests.runner.harness import RunnerProcess, running
from tests.supervisor.group_harness import ENDLESS, each_event, running_group
from transports.messages import Progress, SamplingParameters, TokenChunk

NAME = "frames"
_FIRST_STEP = 1_000_000
_FRAME_BYTES = 4 + 23
"""A `Progress` on the wire: the length, and [1, sequence, {"type": "Progress", "step": number}] packed."""


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield arrival, rate and latency."""
    yield _arrival((1, 10) if quick else (1, 10, 100, 1000), 1 if quick else 20)
    yield _rate(1000 if quick else 100_000, 1 if quick else 3)
    latencies = anyio.run(_latencies_ms, 20 if quick else 2000)
    yield Row(
        NAME,
        "one frame, rank 0 -> event of its task in the supervisor, p50",
        percentile(latencies, 50),
        "ms",
        None,
        len(latencies),
        "stamp taken when the text is made, one token every 2 ms, read where the HTTP surface reads",
        details=spread(latencies),
    )


def _arrival(counts: tuple[int, ...], repetitions: int) -> Row:
    written = arrived = 0
    for count in counts:
        faults = [
            {"at": "connect", "action": "frames", "count": count},
            {"at": "connect", "action": "sigkill"},
        ]
        for _ in range(repetitions):
            with running(faults=faults) as group:
                group.leader.exit_code()
                written += count
                arrived += _arrived(group.leader)
    return Row(
        NAME,
        "frames written before a SIGKILL that arrive",
        100 * arrived / written,
        "%",
        100.0,
        len(counts) * repetitions,
        f"runners that write {', '.join(map(str, counts))} frames, each with a write of its own, and kill themselves",
        at_least=True,
        details={"written": written, "arrived": arrived},
    )


def _arrived(runner: RunnerProcess) -> int:
    return sum(event.step >= _FIRST_STEP for event in runner.of(Progress))


def _rate(count: int, repetitions: int) -> Row:
    rates = sorted(_frames_per_second(count) for _ in range(repetitions))
    median = rates[len(rates) // 2]
    return Row(
        NAME,
        "frames decoded per second, one runner, one write a frame",
        median,
        "frames/s",
        None,
        repetitions,
        f"{count} small frames from the first to the last in the supervisor's decoder; median",
        details={"min": rates[0], "max": rates[-1], "MB/s": median * _FRAME_BYTES / 1e6},
    )


def _frames_per_second(count: int) -> float:
    faults = [{"at": "connect", "action": "frames", "count": count}]
    with running(faults=faults) as group:
        runner = group.leader
        runner.wait_for(lambda: any(isinstance(event, Progress) for event in runner.events))
        started, before = time.monotonic(), len(runner.events)
        last = _FIRST_STEP + count - 1
        runner.wait_for(
            lambda: any(isinstance(event, Progress) and event.step == last for event in runner.events[-50:])
        )
        return (len(runner.events) - before) / (time.monotonic() - started)


async def _latencies_ms(tokens: int) -> list[float]:
    latencies: list[float] = []
    sampling = SamplingParameters(temperature=0.0, max_tokens=tokens, ignore_eos=ENDLESS.ignore_eos)
    script = {"token_interval_s": 0.002}
    with TemporaryDirectory(prefix="rw-") as folder:
        async with running_group(Path(folder), world_size=1, backend="none", engine=CLOCK, script=script) as group:
            await group.ready(1)
            async for event in each_event(group.start_task("task", sampling)):
                if isinstance(event, TokenChunk):
                    latencies.append((time.monotonic_ns() - int(event.text)) / 1e6)
    return latencies
