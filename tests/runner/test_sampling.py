"""What is so small that no number of 16 or 32 bits can say it must not make every token as likely as any other."""

import mlx.core as mx
import pytest

from runner.sampling import make_sampler
from transports.messages import SamplingParameters

pytestmark = pytest.mark.mlx
VOCABULARY = 5000
BEST = 4321


def log_probabilities(dtype: mx.Dtype) -> mx.array:
    """One token is likelier than the others, but not very likely."""
    logits = mx.zeros((1, VOCABULARY)).at[:, BEST].add(2.0)
    return (logits - mx.logsumexp(logits, axis=-1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(
    "little",
    [{"temperature": 1e-3}, {"temperature": 1e-5}, {"temperature": 1e-300}, {"top_p": 1e-4}, {"top_p": 1e-300}],
)
def test_what_leaves_no_choice_is_greedy(little: dict[str, float], seed: int | None, dtype: mx.Dtype) -> None:
    sampler = make_sampler(SamplingParameters(seed=seed, **little), VOCABULARY)  # type: ignore[arg-type]
    assert [sampler(log_probabilities(dtype)).item() for _ in range(20)] == [BEST] * 20
