"""Every number that decides what the tiny model becomes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Shape and training. Heads, kv heads, layers and the intermediate size divide by 4, so that 4 ranks can share it.

    Every `long_every` steps a batch of long rows (stories and long questions) replaces the short ones, and every
    `full_every` steps one row that fills the whole context does.
    """

    vocabulary_size: int = 768
    hidden_size: int = 64
    intermediate_size: int = 192
    layers: int = 4
    heads: int = 4
    context_tokens: int = 2048
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-6
    seed: int = 20260
    steps: int = 720
    warm_up_steps: int = 40
    peak_learning_rate: float = 4e-3
    final_learning_rate: float = 1e-4
    weight_decay: float = 0.01
    gradient_norm_limit: float = 1.0
    short_rows: int = 16
    short_row_tokens: int = 224
    long_rows: int = 2
    long_row_tokens: int = 896
    long_every: int = 4
    full_every: int = 16
