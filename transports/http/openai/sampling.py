"""The request fields that chat and completions share, and their ranges."""

import msgspec

from transports.http import sampling_rules as rules
from transports.http.errors import invalid_request
from transports.messages import SamplingParameters

MAX_LOGIT_BIASES = 1024
_LOGIT_BIAS = rules.Range(-100, 100)


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


def sampling_of(
    fields: SamplingFields, logprobs: int | None, *, max_tool_calls: int | None = None
) -> SamplingParameters:
    """Return how tokens are chosen, with OpenAI's and vLLM's defaults.

    Args:
        fields: Of the request.
        logprobs: How many the endpoint was asked for; see `SamplingParameters`.
        max_tool_calls: How many calls end the answer.

    Raises:
        ApiError: 400 naming the first field that is out of its range.
    """
    rules.check_model(fields.model)
    if fields.n is not None and fields.n != 1:
        raise invalid_request("n", f"`n` is {fields.n}; only 1 answer per request is supported. Send more requests.")
    max_tokens_name = "max_tokens" if fields.max_completion_tokens is None else "max_completion_tokens"
    return SamplingParameters(
        max_tokens=rules.max_tokens_of(max_tokens_name, getattr(fields, max_tokens_name)),
        temperature=rules.number_of("temperature", fields.temperature, rules.TEMPERATURE, 1.0),
        top_p=rules.number_of("top_p", fields.top_p, rules.TOP_P, 1.0),
        top_k=rules.top_k_of("top_k", fields.top_k),
        min_p=rules.number_of("min_p", fields.min_p, rules.MIN_P, 0.0),
        repetition_penalty=rules.number_of("repetition_penalty", fields.repetition_penalty, rules.REPETITION, 1.0),
        presence_penalty=rules.number_of("presence_penalty", fields.presence_penalty, rules.PENALTY, 0.0),
        frequency_penalty=rules.number_of("frequency_penalty", fields.frequency_penalty, rules.PENALTY, 0.0),
        logit_bias=_logit_bias_of(fields.logit_bias),
        seed=rules.seed_of("seed", fields.seed),
        stop=rules.stop_of("stop", fields.stop),
        ignore_eos=bool(fields.ignore_eos),
        logprobs=logprobs,
        max_tool_calls=max_tool_calls,
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


def _logit_bias_of(biases: dict[int, float] | None) -> dict[int, float]:
    if not biases:
        return {}
    if len(biases) > MAX_LOGIT_BIASES:
        raise invalid_request("logit_bias", f"`logit_bias` has {len(biases)} entries; at most {MAX_LOGIT_BIASES} are.")
    for token, bias in biases.items():
        if not 0 <= token <= rules.MAX_TOKENS:
            raise invalid_request("logit_bias", f"`logit_bias` names token {token}. Token ids start at 0.")
        rules.check_range(f"logit_bias.{token}", bias, _LOGIT_BIAS)
    return biases
