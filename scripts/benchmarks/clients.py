"""64 streaming clients at once on the model `tiny`, beside `mlx_lm server`, in turn."""

import asyncio
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.benchmarks.daemon import PROJECT, running_daemon
from scripts.benchmarks.mlx_lm_server import mlx_lm_server
from scripts.benchmarks.row import Row

NAME = "clients"
CLIENTS = 64
DEADLINE_S = 300.0
_TINY = PROJECT / "runner" / "models" / "tiny"


class _Answer(NamedTuple):
    """One stream as its client saw it, in monotonic seconds: when the request went out, and each event with text."""

    sent_at_s: float
    events_at_s: list[float]


class _Figures(NamedTuple):
    tokens_per_s: float
    first_token_p99_s: float
    gap_p99_s: float
    answer_p99_s: float


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield tokens per second and the 99th percentiles of latency, as ratios to `mlx_lm server`."""
    repetitions, tokens, clients = (1, 8, 4) if quick else (5, 60, CLIENTS)
    room = {"RINGWARDEN_MAX_CONCURRENT_TASKS": str(clients)}
    ours: list[_Figures] = []
    theirs: list[_Figures] = []
    flags = ("--decode-concurrency", str(clients), "--prompt-concurrency", str(clients))
    with (
        mlx_lm_server(str(_TINY), *flags) as (port, _),
        running_daemon(ranks=1, environment=room) as daemon,
    ):
        for repetition in range(repetitions + 1):
            common = {"temperature": 0, "stream": True, "max_tokens": tokens, "logit_bias": _never_ends()}
            their = _run(port, {"model": "default_model", **common}, clients, repetition)
            our = _run(daemon.port, {"model": daemon.model_id, **common}, clients, repetition)
            if repetition > 0:  # Both sides' first run is for their caches.
                theirs.append(their)
                ours.append(our)
    how = f"{clients} clients, {tokens} greedy tokens each, one batch of {clients}, in turn; no prompt twice"
    yield _row("total tokens/s", "tokens_per_s", ours, theirs, how, at_least=True)
    yield _row("p99 of the time to the first token", "first_token_p99_s", ours, theirs, how, at_least=False)
    yield _row("p99 of the time between tokens", "gap_p99_s", ours, theirs, how, at_least=False)
    yield _row("p99 of the time to the last token", "answer_p99_s", ours, theirs, how, at_least=False)


def _row(
    what: str, field: str, ours: Sequence[_Figures], theirs: Sequence[_Figures], how: str, *, at_least: bool
) -> Row:
    our: list[float] = [getattr(one, field) for one in ours]
    their: list[float] = [getattr(one, field) for one in theirs]
    ratios = [mine / other for mine, other in zip(our, their, strict=True)]
    return Row(
        NAME,
        f"{what} / mlx_lm server",
        statistics.median(ratios),
        "",
        1.0 if at_least else None,
        len(ratios),
        f"median of ratios; {how}",
        at_least=at_least,
        details={
            "min": min(ratios),
            "max": max(ratios),
            "ringwarden": statistics.median(our),
            "mlx_lm server": statistics.median(their),
        },
    )


def _never_ends() -> dict[str, float]:
    """A bias against the tokens that end an answer, so that both sides do the same work."""
    configuration = json.loads(Path(_TINY, "config.json").read_text())
    ends = configuration["eos_token_id"]
    return {str(token): -100.0 for token in (ends if isinstance(ends, list) else [ends])}


def _run(port: int, request: dict[str, Any], clients: int, repetition: int) -> _Figures:
    started = time.monotonic()
    answers = asyncio.run(_all_at_once(port, request, clients, repetition))
    ended = max(answer.events_at_s[-1] for answer in answers)
    firsts = [answer.events_at_s[0] - answer.sent_at_s for answer in answers]
    lasts = [answer.events_at_s[-1] - answer.sent_at_s for answer in answers]
    gaps = [
        later - earlier
        for answer in answers
        for earlier, later in zip(answer.events_at_s, answer.events_at_s[1:], strict=False)
    ]
    return _Figures(clients * request["max_tokens"] / (ended - started), _p99(firsts), _p99(gaps), _p99(lasts))


async def _all_at_once(port: int, request: dict[str, Any], clients: int, repetition: int) -> list[_Answer]:
    async with asyncio.timeout(DEADLINE_S):
        return await asyncio.gather(
            *(
                _ask(port, {**request, "prompt": f"{repetition * clients + client:04d} the runner and the ring"})
                for client in range(clients)
            )
        )


async def _ask(port: int, request: dict[str, Any]) -> _Answer:
    content = json.dumps(request).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = _Answer(time.monotonic(), [])
    lines: list[bytes] = []
    try:
        writer.write(head + content)
        while line := await reader.readline():
            lines.append(line)
            if line.startswith(b"data: {"):
                answer.events_at_s.append(time.monotonic())
            if line.startswith(b"data: [DONE]"):
                break
    finally:
        writer.close()
    body = b"".join(lines)
    if b'"finish_reason":"length"' not in body.replace(b" ", b"") or b"[DONE]" not in body:
        raise RuntimeError(f"an answer did not end well: ...{body[-500:]!r}")
    return answer


def _p99(values: Sequence[float]) -> float:
    """The smallest value that 99 of 100 do not exceed."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
