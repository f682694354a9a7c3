"""An MLX engine whose model writes back the last thing that its user said: real tokens, real parsers, wanted answers.

`--engine tests.faults.echo:EchoEngine`, with `tests.runner.random_model.build(tools=True)` as the model. Every rank
makes the same bias out of the prompt's tokens, so it works on any number of ranks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from runner.mlx_engine import MlxEngine
from runner.plan import PreparedTask

if TYPE_CHECKING:
    from runner.mlx_binding import LogitsProcessor

_BIAS = 1000.0


class EchoEngine(MlxEngine):
    """The MLX engine with a bias for each token of the wanted answer, and then for the end of it."""

    def logits_processors(self, task: PreparedTask, usual: "list[LogitsProcessor]") -> "Sequence[LogitsProcessor]":
        """The bias, after what is usual."""
        wanted = self._wanted(task.tokens)
        prompt_tokens = len(task.tokens)

        def echo(tokens: mx.array, logits: mx.array) -> mx.array:
            written = tokens.size - prompt_tokens
            if not wanted or written < 0:
                return logits
            column = mx.array([wanted[min(written, len(wanted) - 1)]])
            biased: Any = logits
            return biased.at[:, column].add(_BIAS)

        return [*usual, echo]

    def _wanted(self, prompt: tuple[int, ...]) -> list[int]:
        """The tokens of what the user said last, and the one that ends an answer; none in prompts without a user."""
        whole = self._tokenizer.decode(list(prompt))
        said, found, _ = whole.rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")
        if not found:
            return []
        (end,) = self._tokenizer.encode("<|im_end|>", add_special_tokens=False)
        return [*self._tokenizer.encode(said, add_special_tokens=False), end]
