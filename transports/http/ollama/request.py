"""What `/api/chat` and `/api/generate` share: the request's fields, and their ranges."""

from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.errors import invalid_request
from transports.http.generation import Generation
from transports.http.request_body import refuse_unsupported
from transports.http.thinking import thinking_arguments
from transports.messages import Prompt, SamplingParameters, TokenPrompt

_EFFORTS = ("low", "medium", "high")
_TAG = ":latest"  # What Ollama's clients add to a name that has no tag.


class Options(msgspec.Struct, frozen=True):
    """`options`. Those that are about loading a model, such as `num_ctx`, are ignored like all that are unknown."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    num_predict: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class OllamaFields(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. `None` means that the default holds."""

    model: str
    stream: bool | None = None
    options: Options | None = None
    format: Any = None
    think: bool | str | None = None
    keep_alive: Any = None
    logprobs: bool | None = None


def model_name_of(name: str) -> str:
    """Return the name of a served model, without the tag that Ollama's clients add."""
    return name.removesuffix(_TAG)


def thinking_of(think: bool | str | None) -> dict[str, Any]:
    """Return the chat template's arguments.

    Raises:
        ApiError: 400 for a word that Ollama does not have.
    """
    if not isinstance(think, str):
        return thinking_arguments(think)
    if think not in _EFFORTS:
        raise invalid_request("think", f"`think` is {think[:40]!r}; use true, false, {', '.join(_EFFORTS)}.")
    return thinking_arguments(thinks=True, effort=think)


def generation_of(fields: OllamaFields, prompt: Prompt) -> Generation:
    """Return the checked request.

    Raises:
        ApiError: 400 naming the field at fault.
    """
    refuse_unsupported({"format": fields.format, "logprobs": fields.logprobs})
    rules.check_model(fields.model)
    return Generation(
        model=model_name_of(fields.model),
        prompt=prompt,
        sampling=_sampling_of(fields.options or Options()),
        stream=fields.stream is not False,
        include_usage=True,
    )


def loading_of(fields: OllamaFields) -> Generation:
    """Return what asks for no answer, only for a model that is there: Ollama's clients send it before all else.

    Raises:
        ApiError: 400 naming the field at fault, also for what would unload the model.
    """
    rules.check_model(fields.model)
    if fields.keep_alive in (0, "0", "0s"):
        raise invalid_request("keep_alive", "`keep_alive` is 0, but models are not unloaded here. Leave it out.")
    return Generation(
        model=model_name_of(fields.model),
        prompt=TokenPrompt((0,)),
        sampling=SamplingParameters(max_tokens=0),
        stream=fields.stream is not False,
        include_usage=True,
    )


def _sampling_of(options: Options) -> SamplingParameters:
    """Ollama's own defaults, but no repetition penalty: Ollama's looks at the last 64 tokens only."""
    num_predict = options.num_predict
    return SamplingParameters(
        # 0, -1 and -2 are Ollama's words for "no limit".
        max_tokens=None if num_predict in (0, -1, -2) else rules.max_tokens_of("options.num_predict", num_predict),
        temperature=rules.number_of("options.temperature", options.temperature, rules.TEMPERATURE, 0.8),
        top_p=rules.number_of("options.top_p", options.top_p, rules.TOP_P, 0.9),
        top_k=rules.top_k_of("options.top_k", options.top_k, 40),
        min_p=rules.number_of("options.min_p", options.min_p, rules.MIN_P, 0.0),
        repetition_penalty=rules.number_of("options.repeat_penalty", options.repeat_penalty, rules.REPETITION, 1.0),
        presence_penalty=rules.number_of("options.presence_penalty", options.presence_penalty, rules.PENALTY, 0.0),
        frequency_penalty=rules.number_of("options.frequency_penalty", options.frequency_penalty, rules.PENALTY, 0.0),
        # -1 is Ollama's word for "any".
        seed=None if options.seed == -1 else rules.seed_of("options.seed", options.seed),
        stop=rules.stop_of("options.stop", options.stop),
    )
