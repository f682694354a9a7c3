"""How much memory a rank's share of a model takes: the rule by which placement says that a model fits.

A rank needs its share of the weights, a fifth of that again for the key-value cache, activations and what every rank
keeps whole (embeddings, norms), and 256 MiB for the process itself. The rule errs on the careful side for large models;
who serves long contexts to many clients at once needs more.
"""

from collections.abc import Sequence

import msgspec

from transports.cluster.requests import ModelPrepared
from transports.messages import Parallelism

RUNTIME_BYTES = 256 * 1024**2
_HEADROOM_DIVISOR = 5


class ModelNeeds(msgspec.Struct, frozen=True):
    """What a model asks of the ranks that share it.

    Args:
        weight_bytes: All weights, as they stand on the disk.
        layers: Its number of layers: pipeline ranks get whole ones, at least one each; 0 when it is not known.
        attention_heads: Tensor ranks share them evenly; 0 when the configuration does not tell.
        key_value_heads: The same.
        digest: Two nodes with different digests have different models. Empty when it is not known.
        splits: How mlx-lm can split this kind of model; some have only one of the two ways.
    """

    weight_bytes: int
    layers: int
    attention_heads: int = 0
    key_value_heads: int = 0
    digest: str = ""
    splits: tuple[Parallelism, ...] = ("tensor", "pipeline")


def model_needs(prepared: ModelPrepared) -> ModelNeeds:
    """Return what a node found out about the model on its disk, as placement needs it."""
    return ModelNeeds(
        prepared.weight_bytes,
        prepared.layers,
        prepared.attention_heads,
        prepared.key_value_heads,
        prepared.digest,
        prepared.splits,
    )


def tensor_rank_bytes(needs: ModelNeeds, ranks: int) -> int:
    """Return what each of `ranks` tensor ranks needs."""
    return _with_headroom(-(-needs.weight_bytes // ranks)) + RUNTIME_BYTES


def layer_bytes(needs: ModelNeeds) -> int:
    """Return what one layer needs, headroom included and at least one byte."""
    return max(1, _with_headroom(-(-needs.weight_bytes // max(1, needs.layers))))


def why_not_tensor(needs: ModelNeeds, ranks: int) -> str | None:
    """Return why mlx-lm cannot split this model's tensors over `ranks`, or None when it can."""
    if ranks == 1:
        return None
    if "tensor" not in needs.splits:
        return "mlx-lm cannot split this model by tensors"
    for heads, name in ((needs.attention_heads, "attention heads"), (needs.key_value_heads, "key-value heads")):
        if heads % ranks:
            return f"{ranks} ranks cannot share {heads} {name} evenly"
    return None


def why_not_pipeline(needs: ModelNeeds, ranks: int) -> str | None:
    """Return why mlx-lm cannot split this model by layers over `ranks`, or None when it can."""
    if "pipeline" not in needs.splits:
        return "mlx-lm cannot split this model by layers"
    if not needs.layers:
        return "the model's configuration does not tell its number of layers"
    if ranks > needs.layers:
        return f"{ranks} ranks cannot share {needs.layers} layers"
    return None


def layers_that_fit(needs: ModelNeeds, available_bytes: int, ranks: int) -> int:
    """Return how many layers `ranks` pipeline ranks on one node can hold together."""
    return max(0, available_bytes - ranks * RUNTIME_BYTES) // layer_bytes(needs)


def even_split(layers: int, ranks: int) -> tuple[int, ...]:
    """Return mlx-lm's own split: even, and the low ranks get the layers left over (`mlx-lm 0.32.2 pipeline.py`)."""
    base, extra = divmod(layers, ranks)
    return tuple(base + (rank < extra) for rank in range(ranks))


def split_by_capacity(layers: int, capacities: Sequence[int]) -> tuple[int, ...] | None:
    """Return the layers of each rank: even where that fits, else in proportion to what each can hold.

    Every rank gets at least one layer and at most its capacity; None when no split does that.
    """
    even = even_split(layers, len(capacities))
    if all(share <= capacity for share, capacity in zip(even, capacities, strict=True)):
        return even if layers >= len(capacities) else None
    spare = [capacity - 1 for capacity in capacities]
    left = layers - len(capacities)
    if left < 0 or min(spare) < 0 or sum(spare) < left:
        return None
    shares = [1 + left * each // sum(spare) for each in spare]
    # What rounding left over goes to those who lost most by it; a share that was cut is below its capacity.
    by_loss = sorted(range(len(spare)), key=lambda rank: (-(left * spare[rank] % sum(spare)), rank))
    for rank in by_loss[: layers - sum(shares)]:
        shares[rank] += 1
    return tuple(shares)


def gibibytes(number_of_bytes: int) -> str:
    """Return a size for a person, never rounded down to nothing."""
    if number_of_bytes < 1024**3:
        return f"{-(-number_of_bytes // 1024**2)} MiB"
    return f"{number_of_bytes / 1024**3:.1f} GiB"


def _with_headroom(weights: int) -> int:
    return weights + -(-weights // _HEADROOM_DIVISOR)
