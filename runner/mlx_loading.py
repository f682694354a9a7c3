"""Loads one rank's share of a model from a local folder."""

from pathlib import Path
from typing import Any, Protocol, cast

import mlx.core as mx

from runner.answer_formats import can_think
from runner.engine import Report
from runner.mlx_binding import Model, Tokenizer, evaluate, evaluate_each, load_lazy, load_tokenizer, weights_of
from transports.messages import ModelFacts, Parallelism

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "max_sequence_length")
_ASSUMED_CONTEXT_TOKENS = 32_768
_NO_LIMIT = 10**9
"""transformers uses numbers above this for "the tokenizer sets no limit"."""


class _TensorParallel(Protocol):
    def shard(self, group: mx.distributed.Group) -> None: ...


class _Pipelined(Protocol):
    def pipeline(self, group: mx.distributed.Group, **split: list[int]) -> None: ...


def load(
    folder: Path,
    group: mx.distributed.Group | None,
    parallel: Parallelism,
    split: tuple[int, ...] | None,
    report: Report,
) -> tuple[Model, Tokenizer, ModelFacts]:
    """Return the model with this rank's weights in memory, its tokenizer and its facts. Blocks.

    Weights are read layer by layer, and only those of this rank. `split` says how many layers each rank of a pipeline
    gets; None splits them evenly, which every model can that has a pipeline.

    Raises:
        FileNotFoundError: When the folder or its weights are absent.
        ValueError: When weights are missing or do not fit, or the model cannot be split like this.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"the model folder {folder} does not exist")
    model, config = load_lazy(folder)
    layers_in_all = len(model.layers)
    if group is not None:
        _split(model, config, group, parallel, split)
    tokenizer = load_tokenizer(folder, config.get("eos_token_id"))
    layers = list(model.layers)
    for number, layer in enumerate(layers):
        evaluate_each(weights_of(layer), report.loaded)
        report(number + 1, len(layers))
    in_layers = {id(weight) for layer in layers for weight in weights_of(layer)}
    evaluate_each([weight for weight in weights_of(model) if id(weight) not in in_layers], report.loaded)
    if group is not None:
        # Nobody goes on before the slowest rank: the next collective may come much later than this.
        with report.agreeing("loaded"):
            evaluate(mx.distributed.all_sum(mx.ones(group.size()), group=group, stream=cast(Any, mx.cpu)))
    facts = ModelFacts(
        context_tokens=_context_tokens(config, tokenizer),
        vocabulary_size=_vocabulary_size(config),
        layers=layers_in_all,
        calls_tools=tokenizer.tool_parser is not None,
        thinks=can_think(tokenizer),
    )
    return model, tokenizer, facts


def _split(
    model: Model,
    config: dict[str, Any],
    group: mx.distributed.Group,
    parallel: Parallelism,
    split: tuple[int, ...] | None,
) -> None:
    ranks, kind = group.size(), config.get("model_type")
    if parallel == "tensor":
        if not hasattr(model, "shard"):
            raise ValueError(f"a model of type {kind} cannot be split by tensors; use --parallel pipeline")
        for key in ("num_attention_heads", "num_key_value_heads"):
            heads = _text_config(config).get(key)
            if isinstance(heads, int) and heads % ranks:
                raise ValueError(f"{key} is {heads}, which {ranks} ranks cannot share evenly; use another --ranks")
        cast(_TensorParallel, model).shard(group)
        return
    inner = getattr(model, "model", None)
    if not hasattr(inner, "pipeline"):
        raise ValueError(f"a model of type {kind} cannot be split by layers; use --parallel tensor")
    cast(_Pipelined, inner).pipeline(group, **({} if split is None else {"split": list(split)}))


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    return cast(dict[str, Any], inner) if isinstance(inner, dict) else config


def _context_tokens(config: dict[str, Any], tokenizer: Tokenizer) -> int:
    for place in (_text_config(config), config):
        for key in _CONTEXT_KEYS:
            value = place.get(key)
            if isinstance(value, int) and value > 1:
                return value
    limit = tokenizer.model_max_length
    return int(limit) if 1 < limit < _NO_LIMIT else _ASSUMED_CONTEXT_TOKENS


def _vocabulary_size(config: dict[str, Any]) -> int:
    for place in (_text_config(config), config):
        value = place.get("vocab_size")
        if isinstance(value, int) and value > 0:
            return value
    raise ValueError("config.json has no vocab_size: it is not a language model's")
