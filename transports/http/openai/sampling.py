"""The request fields that chat and completions share, and their ranges."""

from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.messages import SamplingParameters

MAX_STOP_SEQUENCES = 16
MAX_STOP_CHARACTERS = 1024
MAX_LOGIT_BIASES = 1024
_MAX_TOKENS = 2**31 - 1
_SEED_BITS = 63


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class SamplingFields(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. `None` means that the default holds: clients send explicit nulls.

    Unknown fields are ignored, as OpenAI clients need.
    """

    model: str
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    n: int | None = None
    ignore_eos: bool | None = None


def sampling_of(fields: SamplingFields) -> SamplingParameters:
    """Return how tokens are chosen, with OpenAI's and vLLM's defaults.

    Raises:
        ApiError: 400 naming the first field that is out of its range.
    """
    _check_shared(fields)
    max_tokens_name = "max_tokens" if fields.max_completion_tokens is None else "max_completion_tokens"
    max_tokens: int | None = getattr(fields, max_tokens_name)
    _within(max_tokens_name, max_tokens, 1, _MAX_TOKENS)
    top_k = fields.top_k or 0
    return SamplingParameters(
        max_tokens=max_tokens,
        temperature=_or(fields.temperature, 1.0),
        top_p=_or(fields.top_p, 1.0),
        top_k=max(top_k, 0),  # vLLM writes "off" as -1.
        min_p=_or(fields.min_p, 0.0),
        repetition_penalty=_or(fields.repetition_penalty, 1.0),
        presence_penalty=_or(fields.presence_penalty, 0.0),
        frequency_penalty=_or(fields.frequency_penalty, 0.0),
        logit_bias=_logit_bias_of(fields.logit_bias),
        # MLX takes unsigned seeds; OpenAI allows negative ones.
        seed=None if fields.seed is None else fields.seed % 2**_SEED_BITS,
        stop=_stop_of(fields.stop),
        ignore_eos=bool(fields.ignore_eos),
    )


def include_usage_of(fields: SamplingFields) -> bool:
    """Return whether a stream ends with a usage chunk.

    Raises:
        ApiError: 400 when `stream_options` come without `stream`, as OpenAI answers.
    """
    if fields.stream_options is None:
        return False
    if not fields.stream:
        raise invalid_request(
            "stream_options", "`stream_options` is only allowed with `stream: true`. Set `stream` or leave it out."
        )
    return bool(fields.stream_options.include_usage)


def refuse_unsupported(values: dict[str, Any]) -> None:
    """Refuse features that are asked for and not there; `None`, `False` and the like ask for nothing.

    Raises:
        ApiError: 400 naming the feature.
    """
    for name, value in values.items():
        if value:
            raise invalid_request(name, f"`{name}` is not supported by this server. Leave it out.")


def _check_shared(fields: SamplingFields) -> None:
    if not fields.model:
        raise invalid_request("model", "`model` is empty. Name one of the models that `/v1/models` lists.")
    if fields.n is not None and fields.n != 1:
        raise invalid_request("n", f"`n` is {fields.n}; only 1 answer per request is supported. Send more requests.")
    _within("temperature", fields.temperature, 0, 2)
    _within("top_p", fields.top_p, 0, 1, above=True)
    _within("top_k", fields.top_k, -1, _MAX_TOKENS)
    _within("min_p", fields.min_p, 0, 1)
    _within("repetition_penalty", fields.repetition_penalty, 0, 10, above=True)
    _within("presence_penalty", fields.presence_penalty, -2, 2)
    _within("frequency_penalty", fields.frequency_penalty, -2, 2)
    _within("seed", fields.seed, -(2**_SEED_BITS), 2**_SEED_BITS - 1)


def _within(name: str, value: float | None, low: float, high: float, *, above: bool = False) -> None:
    if value is None or (low < value <= high if above else low <= value <= high):
        return
    rule = f"above {low} and up to {high}" if above else f"from {low} to {high}"
    raise invalid_request(name, f"`{name}` is {value}; it must be {rule}. Choose a value in that range.")


def _logit_bias_of(biases: dict[int, float] | None) -> dict[int, float]:
    if not biases:
        return {}
    if len(biases) > MAX_LOGIT_BIASES:
        raise invalid_request("logit_bias", f"`logit_bias` has {len(biases)} entries; at most {MAX_LOGIT_BIASES} are.")
    for token, bias in biases.items():
        if not 0 <= token <= _MAX_TOKENS:
            raise invalid_request("logit_bias", f"`logit_bias` names token {token}. Token ids start at 0.")
        _within(f"logit_bias.{token}", bias, -100, 100)
    return biases


def _stop_of(stop: str | list[str] | None) -> tuple[str, ...]:
    sequences = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(sequences) > MAX_STOP_SEQUENCES:
        raise invalid_request(
            "stop", f"`stop` has {len(sequences)} sequences; at most {MAX_STOP_SEQUENCES} are allowed. Send fewer."
        )
    for sequence in sequences:
        if not 0 < len(sequence) <= MAX_STOP_CHARACTERS:
            raise invalid_request(
                "stop",
                f"`stop` holds a sequence of {len(sequence)} characters; 1 to {MAX_STOP_CHARACTERS} are allowed.",
            )
    return sequences


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
