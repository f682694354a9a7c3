"""The parts of mlx-lm that the engine uses, with types. mlx-lm has none of its own; nothing else imports it."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import mlx.core as mx

# The runner loads from local folders only; without this, transformers asks the hub about them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from mlx.utils import tree_flatten  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.generate import BatchGenerator, StopSequences, generation_stream
from mlx_lm.sample_utils import (
    apply_min_p,
    apply_top_k,
    apply_top_p,
    make_frequency_penalty,
    make_presence_penalty,
    make_repetition_penalty,
)
from mlx_lm.sample_utils import greedy_sampler as argmax_sampler
from mlx_lm.utils import load_model  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.utils import load_tokenizer as load_wrapped_tokenizer  # pyright: ignore[reportUnknownVariableType]

Sampler = Callable[[mx.array], mx.array]
LogitsProcessor = Callable[[mx.array, mx.array], mx.array]


class Detokenizer(Protocol):
    """mlx-lm's streaming detokenizer."""

    @property
    def last_segment(self) -> str: ...
    def add_token(self, token: int) -> None: ...
    def finalize(self) -> None: ...


class Tokenizer(Protocol):
    """mlx-lm's wrapper around a Hugging Face tokenizer."""

    @property
    def bos_token(self) -> str | None: ...
    @property
    def eos_token_ids(self) -> set[int]: ...
    @property
    def has_chat_template(self) -> bool: ...
    @property
    def model_max_length(self) -> int: ...
    @property
    def detokenizer(self) -> Detokenizer: ...
    @property
    def chat_template(self) -> object: ...
    @property
    def think_start(self) -> str | None: ...
    @property
    def think_end(self) -> str | None: ...
    @property
    def tool_call_start(self) -> str | None: ...
    @property
    def tool_call_end(self) -> str | None: ...
    @property
    def tool_parser(self) -> Callable[[str, Any], object] | None: ...
    @property
    def structural_markers(self) -> Sequence[str]: ...
    @property
    def response_initial_state(self) -> str | None: ...
    @property
    def response_transitions(self) -> Mapping[str, Sequence[tuple[str, str]]]: ...
    def decode(self, token_ids: list[int]) -> str: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], **arguments: Any) -> list[int]: ...


class Layer(Protocol):
    """A part of a model that has weights."""

    def parameters(self) -> dict[str, Any]: ...


class Model(Layer, Protocol):
    """A language model. `layers` are those of this rank once it is sharded."""

    @property
    def layers(self) -> Sequence[Layer]: ...


class PromptProgress(Protocol):
    """One prompt's progress in one step."""

    uid: int
    progress: tuple[int, int]


class SampledToken(Protocol):
    """One sequence's token in one step."""

    uid: int
    token: int
    logprobs: mx.array
    finish_reason: str | None


class Batch(Protocol):
    """mlx-lm's continuous batch."""

    def insert(
        self,
        prompts: list[list[int]],
        *,
        max_tokens: list[int],
        samplers: list[Sampler],
        logits_processors: list[list[LogitsProcessor]],
        stop_sequences: list[Any],
    ) -> list[int]: ...
    def remove(self, uids: list[int]) -> object: ...
    def next(self) -> tuple[list[PromptProgress], list[SampledToken]]: ...
    def close(self) -> None: ...


def batch_stream() -> mx.Stream:
    """The stream that batches compute on."""
    return cast(mx.Stream, generation_stream)


def evaluate(*arrays: object, ahead: bool = False) -> None:
    """Compute arrays, or trees of them; with `ahead`, begin and do not wait."""
    cast(Callable[..., None], mx.async_eval if ahead else mx.eval)(*arrays)  # pyright: ignore[reportUnknownMemberType]


def weights_of(layer: Layer) -> list[mx.array]:
    """Return its weights, those of the layers within it included."""
    flatten = cast(Callable[[object], list[tuple[str, mx.array]]], tree_flatten)
    return [weight for _, weight in flatten(layer.parameters())]


def evaluate_each(weights: Sequence[mx.array], evaluated: Callable[[int], None]) -> None:
    """Compute weights in one go, and tell the size of each in bytes once it is there."""
    evaluate(*weights, ahead=True)
    for weight in weights:
        evaluate(weight)
        evaluated(weight.nbytes)


def new_batch(model: Model, *, max_sequences: int, prefill_step_tokens: int) -> Batch:
    """Return an empty batch that decodes at most `max_sequences` at a time."""
    batch = BatchGenerator(
        cast(Any, model),
        completion_batch_size=max_sequences,
        prefill_batch_size=max_sequences,
        prefill_step_size=prefill_step_tokens,
    )
    return cast(Batch, batch)


def stop_tokens(tokens: Sequence[int]) -> object:
    """Return what makes a sequence end at any of these tokens."""
    return StopSequences([[token] for token in tokens])


def load_lazy(folder: Path) -> tuple[Model, dict[str, Any]]:
    """Return the model with weights that are not read yet, and its configuration; every weight must be there."""
    load = cast(Callable[..., tuple[Model, dict[str, Any]]], load_model)
    return load(folder, lazy=True, strict=True)


def load_tokenizer(folder: Path, eos_token_ids: int | list[int] | None) -> Tokenizer:
    """Return the folder's tokenizer. Code in the folder is not run."""
    load = cast(Callable[..., Tokenizer], load_wrapped_tokenizer)
    return load(folder, {"trust_remote_code": False}, eos_token_ids=eos_token_ids)


def add_at(logits: mx.array, indices: mx.array, values: mx.array) -> mx.array:
    """Return the logits with values added to some columns."""
    return cast(mx.array, cast(Any, logits).at[:, indices].add(values.astype(logits.dtype)))


greedy_sampler = cast(Sampler, argmax_sampler)
keep_top_p = cast(Callable[[mx.array, float], mx.array], apply_top_p)
keep_min_p = cast(Callable[[mx.array, float], mx.array], apply_min_p)
keep_top_k = cast(Callable[[mx.array, int], mx.array], apply_top_k)
repetition_penalty = cast(Callable[[float, int], LogitsProcessor], make_repetition_penalty)
presence_penalty = cast(Callable[[float, int], LogitsProcessor], make_presence_penalty)
frequency_penalty = cast(Callable[[float, int], LogitsProcessor], make_frequency_penalty)
