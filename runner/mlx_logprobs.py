"""The likeliest tokens of one step, with their texts, for tasks that ask for log-probabilities."""

from collections.abc import Callable

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from runner.mlx_binding import Tokenizer
from runner.token_bytes import bytes_of_tokens
from transports.answers import TokenCandidate

_IMPOSSIBLE = -9999.0


class Candidates:
    """Reads rows of log-probabilities that are computed already. Compute thread only.

    A row is copied out and searched by numpy: an operation of MLX would queue behind the next step of all tasks.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes_of: Callable[[int], bytes] = bytes_of_tokens(tokenizer)

    def of(self, row: mx.array, chosen: int, top: int) -> tuple[TokenCandidate, ...]:
        """Return the chosen token, and then the `top` likeliest ones, best first."""
        values = _as_numpy(row)
        count = min(top, values.size)
        best = np.argpartition(values, values.size - count)[values.size - count :] if count else np.empty(0, np.int64)
        best = best[np.argsort(-values[best], kind="stable")]
        return tuple(self._candidate(int(token), float(values[token])) for token in (chosen, *best.tolist()))

    def _candidate(self, token: int, logprob: float) -> TokenCandidate:
        data = self._bytes_of(token)
        # Not below what JSON can say; NaN is not above it either.
        return TokenCandidate(data.decode("utf-8", "replace"), data, logprob if logprob > _IMPOSSIBLE else _IMPOSSIBLE)


def _as_numpy(row: mx.array) -> NDArray[np.float32]:
    if row.dtype == mx.bfloat16:
        # numpy has no such type: the upper half of a float32.
        halves = np.frombuffer(memoryview(row), np.uint16)  # pyright: ignore[reportArgumentType]
        return (halves.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(memoryview(row), np.float32)  # pyright: ignore[reportArgumentType]
