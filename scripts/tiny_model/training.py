"""The training loop: AdamW with a warm-up and a cosine, in one thread, from one seed."""

import math
import random
from collections.abc import Callable

import numpy as np
from tokenizers import Tokenizer

from .corpus import Corpus
from .network import Network, Parameters, initial_parameters
from .recipe import Recipe
from .rows import RowMaker

FIRST_MOMENT, SECOND_MOMENT, MOMENT_FLOOR = 0.9, 0.98, 1e-9


class _AdamW:
    """Decoupled weight decay on matrices only; norms and biases are left alone."""

    def __init__(self, parameters: Parameters, weight_decay: float) -> None:
        self._decay = weight_decay
        self._first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._second = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._step = 0

    def update(self, parameters: Parameters, gradients: Parameters, rate: float, scale: float) -> None:
        """Change the parameters in place; gradients are multiplied by `scale` first."""
        self._step += 1
        first_correction = 1 - FIRST_MOMENT**self._step
        second_correction = 1 - SECOND_MOMENT**self._step
        for name, value in parameters.items():
            gradient = gradients[name] * np.float32(scale)
            first, second = self._first[name], self._second[name]
            first += np.float32(1 - FIRST_MOMENT) * (gradient - first)
            second += np.float32(1 - SECOND_MOMENT) * (gradient * gradient - second)
            decay = np.float32(rate * self._decay if value.ndim > 1 else 0.0)
            root = np.sqrt(second / np.float32(second_correction)) + np.float32(MOMENT_FLOOR)
            np.subtract(value * (1 - decay), np.float32(rate / first_correction) * first / root, out=value)


def train(corpus: Corpus, tokenizer: Tokenizer, recipe: Recipe, report: Callable[[int, float], None]) -> Parameters:
    """Train the network.

    Args:
        corpus: What to say.
        tokenizer: How it is cut into tokens.
        recipe: Every number.
        report: Called after each step with the step (from 1) and its loss.

    Returns:
        The weights under mlx-lm's names, float32.
    """
    parameters = initial_parameters(recipe, np.random.Generator(np.random.PCG64(recipe.seed)))
    maker = RowMaker(corpus, tokenizer, random.Random(recipe.seed))
    network = Network(recipe)
    optimizer = _AdamW(parameters, recipe.weight_decay)
    for step in range(1, recipe.steps + 1):
        if step % recipe.full_every == 0:
            rows, wanted = maker.full_batch(recipe.context_tokens)
        elif step % recipe.long_every == 0:
            rows, wanted = maker.long_batch(recipe.long_rows, recipe.long_row_tokens)
        else:
            rows, wanted = maker.short_batch(recipe.short_rows, recipe.short_row_tokens)
        loss, gradients = network.loss_and_gradients(parameters, rows, wanted)
        norm = math.sqrt(sum(float(np.vdot(value, value)) for value in gradients.values()))
        scale = min(1.0, recipe.gradient_norm_limit / (norm + 1e-6))
        optimizer.update(parameters, gradients, _learning_rate(recipe, step), scale)
        report(step, loss)
    return parameters


def _learning_rate(recipe: Recipe, step: int) -> float:
    if step <= recipe.warm_up_steps:
        return recipe.peak_learning_rate * step / recipe.warm_up_steps
    part = (step - recipe.warm_up_steps) / max(recipe.steps - recipe.warm_up_steps, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * part))
    return recipe.final_learning_rate + (recipe.peak_learning_rate - recipe.final_learning_rate) * cosine
