"""How long a token takes from rank 0 to an HTTP client."""

import json
import re
import time
from collections.abc import Iterator

from scripts.benchmarks.bare_socket import bare_latencies_ms
from scripts.benchmarks.row import Row, percentile, spread
from scripts.benchmarks.scripted import CLOCK, scripted_daemon
from scripts.benchmarks.stream import stream

NAME = "token_latency"
BUDGET_P50_MS = 0.5
BUDGET_P99_MS = 3.0
PACES_MS = {"20 ms": 20, "2 ms": 2}
_STAMP = re.compile(rb'"text":" (\d+)"')


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield p50 and p99 for each pace."""
    for pace, interval_ms in PACES_MS.items():
        tokens = 20 if quick else min(4000, 24_000 // interval_ms)
        latencies = _latencies_ms(interval_ms / 1000, tokens)
        floor = bare_latencies_ms(interval_ms / 1000, tokens)
        yield Row(
            NAME,
            f"yardstick: one process -> another over loopback TCP, p50 at {pace} a token",
            percentile(floor, 50),
            "ms",
            None,
            len(floor),
            "the same stamps and pace, two Python processes and nothing between them",
            details=spread(floor),
        )
        how = f"stamp taken in rank 0 when the token's text is made, read after recv; one token per {pace}, one client"
        details = spread(latencies)
        for what, percent, budget in (("p50", 50, BUDGET_P50_MS), ("p99", 99, BUDGET_P99_MS)):
            yield Row(
                NAME,
                f"runner -> HTTP client, {what} at {pace} a token",
                percentile(latencies, percent),
                "ms",
                budget,
                len(latencies),
                how,
                details=details,
            )


def _latencies_ms(interval_s: float, tokens: int) -> list[float]:
    latencies: list[float] = []

    def note(data: bytes) -> None:
        now = time.monotonic_ns()
        latencies.extend((now - int(stamp)) / 1e6 for stamp in _STAMP.findall(data))

    environment = {"FAULT_ENGINE_SCRIPT": json.dumps({"token_interval_s": interval_s})}
    with scripted_daemon(ranks=1, engine=CLOCK, environment=environment) as daemon:
        stream(daemon.port, daemon.request(max_tokens=10))
        answer = stream(daemon.port, daemon.request(max_tokens=tokens), note)
        answer.require_whole(tokens)
    if len(latencies) < tokens:
        raise RuntimeError(f"{tokens} tokens were sent, {len(latencies)} arrived")
    return latencies
