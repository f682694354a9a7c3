"""One stream through HTTP beside bare mlx-lm, in turn."""

import statistics
from collections.abc import Iterator

from scripts.benchmarks.bare_ranks import bare_ranks
from scripts.benchmarks.daemon import running_daemon
from scripts.benchmarks.model import BUILT_IN, REALISTIC, SMALLEST, random_model
from scripts.benchmarks.row import Row
from scripts.benchmarks.stream import stream
from supervisor.model_source import resolve_model

NAME = "tokens"
BUDGET = 0.95
_PROMPT = "the runner and the ring"


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield the ratio for a model of a realistic cost on one and two ranks, and for the built-in one."""
    repetitions, tokens = (1, 8) if quick else (5, 100)
    with random_model(SMALLEST if quick else REALISTIC) as model:
        for ranks in (1, 2):
            yield _compare(
                model, "a model of realistic cost", ranks, tokens=tokens, repetitions=repetitions, budget=BUDGET
            )
    built_in = str(resolve_model(BUILT_IN).path)
    yield _compare(built_in, "`tiny`, the worst case", 1, tokens=tokens, repetitions=repetitions, budget=None)


def _compare(model: str, name: str, ranks: int, *, tokens: int, repetitions: int, budget: float | None) -> Row:
    ratios: list[float] = []
    ours: list[float] = []
    bare: list[float] = []
    with bare_ranks(model, ranks) as yardstick, running_daemon(ranks=ranks, model=model) as daemon:
        request = daemon.request(max_tokens=tokens, prompt=_PROMPT)
        for repetition in range(repetitions + 1):
            bare_s = yardstick.seconds(tokens, _PROMPT)
            answer = stream(daemon.port, request)
            answer.require_whole(tokens)
            if repetition == 0:
                continue  # Both sides' first run is for their caches.
            ours.append(tokens / answer.seconds)
            bare.append(tokens / bare_s)
            ratios.append(bare_s / answer.seconds)
    return Row(
        NAME,
        f"tokens/s through HTTP / bare mlx-lm, {name}, {ranks} rank{'s' if ranks > 1 else ''}",
        statistics.median(ratios),
        "",
        budget,
        repetitions,
        f"median of ratios of {tokens} greedy tokens in turn, request to last byte, against stream_generate"
        + (" on a ring as mlx.launch makes it" if ranks > 1 else ""),
        at_least=True,
        details={
            "min": min(ratios),
            "max": max(ratios),
            "ringwarden tokens/s": statistics.median(ours),
            "bare tokens/s": statistics.median(bare),
        },
    )
