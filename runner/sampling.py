"""How a task's tokens are chosen.

All ranks run the same samplers on the same logits, so they need the same random numbers. A task with a seed has a key
of its own, split once per token: its choices do not depend on its neighbours in the batch (its logits may, in the last
bits, since a batch of another size is summed in another order). Tasks without a seed share MLX's global state, which
rank 0 seeds for all ranks at the start and which all ranks use up in the same order.
"""

import functools
from collections.abc import Callable

import mlx.core as mx

from runner.mlx_binding import (
    LogitsProcessor,
    Sampler,
    add_at,
    frequency_penalty,
    greedy_sampler,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    presence_penalty,
    repetition_penalty,
)
from transports.messages import SamplingParameters

# Some models have logits of 16 bits, which below this leave their range: then every token were as likely as any other.
_LOWEST_TEMPERATURE = 1e-3


def make_sampler(sampling: SamplingParameters, vocabulary_size: int) -> Sampler:
    """Return the sampler of one task. Tasks without a seed that want the same share one, which MLX then runs once."""
    if sampling.temperature < _LOWEST_TEMPERATURE or sampling.top_k == 1:
        return greedy_sampler
    if sampling.top_p * vocabulary_size <= 1:  # The likeliest token alone has so much.
        return greedy_sampler
    top_k = sampling.top_k if 0 < sampling.top_k < vocabulary_size else 0
    if sampling.seed is None:
        return _shared_sampler(sampling.temperature, sampling.top_p, sampling.min_p, top_k)
    choose = _filters(sampling.top_p, sampling.min_p, top_k)
    return _Seeded(sampling.seed, sampling.temperature, choose)


@functools.lru_cache(maxsize=256)
def _shared_sampler(temperature: float, top_p: float, min_p: float, top_k: int) -> Sampler:
    choose = _filters(top_p, min_p, top_k)

    def sample(log_probabilities: mx.array) -> mx.array:
        return mx.random.categorical(choose(log_probabilities) * (1.0 / temperature))

    return sample


class _Seeded:
    def __init__(self, seed: int, temperature: float, choose: Sampler) -> None:
        self._key = mx.random.key(seed % 2**64)
        self._scale = 1.0 / temperature
        self._choose = choose

    def __call__(self, log_probabilities: mx.array) -> mx.array:
        keys = mx.random.split(self._key)
        self._key = keys[0]
        return mx.random.categorical(self._choose(log_probabilities) * self._scale, key=keys[1])


def _filters(top_p: float, min_p: float, top_k: int) -> Sampler:
    """What may be chosen at all, in mlx-lm's order; all of it before the temperature."""
    steps: list[Sampler] = []
    if top_p < 1:
        steps.append(lambda x: keep_top_p(x, top_p))
    if min_p > 0:
        steps.append(lambda x: keep_min_p(x, min_p))
    if top_k > 0:
        steps.append(lambda x: keep_top_k(x, top_k))

    def choose(log_probabilities: mx.array) -> mx.array:
        for step in steps:
            log_probabilities = step(log_probabilities)
        return log_probabilities

    return choose


def make_logits_processors(
    sampling: SamplingParameters, prompt_tokens: int, context_tokens: int
) -> list[LogitsProcessor]:
    """Return what changes the logits of one task before sampling.

    As elsewhere, the repetition penalty looks at prompt and answer, presence and frequency at the answer only.
    """
    processors: list[LogitsProcessor] = []
    if sampling.logit_bias:
        processors.append(_bias(sampling.logit_bias))
    if sampling.repetition_penalty != 1:
        processors.append(repetition_penalty(sampling.repetition_penalty, context_tokens))
    additive: tuple[tuple[Callable[[float, int], LogitsProcessor], float], ...] = (
        (presence_penalty, sampling.presence_penalty),
        (frequency_penalty, sampling.frequency_penalty),
    )
    for make, penalty in additive:
        if penalty != 0:
            processors.append(_on_answer(make(penalty, context_tokens), prompt_tokens))
    return processors


def _bias(bias: dict[int, float]) -> LogitsProcessor:
    indices, values = mx.array(list(bias)), mx.array(list(bias.values()))

    def add(_tokens: mx.array, logits: mx.array) -> mx.array:
        return add_at(logits, indices, values)

    return add


def _on_answer(processor: LogitsProcessor, prompt_tokens: int) -> LogitsProcessor:
    def process(tokens: mx.array, logits: mx.array) -> mx.array:
        answer = tokens[prompt_tokens:]
        return processor(answer, logits) if answer.size else logits

    return process
