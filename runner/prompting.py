"""Checks a task and turns its prompt into tokens. Everything wrong with a request is found here, before the batch."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Never, cast

import msgspec

from runner.engine import TaskRejection
from runner.mlx_binding import Tokenizer
from runner.plan import PreparedTask
from transports.messages import (
    ChatPrompt,
    ModelFacts,
    Prompt,
    RejectionCode,
    SamplingParameters,
    StartTask,
    TextPrompt,
    TokenPrompt,
)

_ROLES = {"system", "user", "assistant", "tool", "function", "developer"}
_RESERVED_ARGUMENTS = {
    "chat_template",
    "conversation",
    "documents",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tokenizer_kwargs",
    "tools",
    "truncation",
}
_FLATTENED_TYPES = {"text", "input_text", "output_text"}


def prepare(task: StartTask, tokenizer: Tokenizer, facts: ModelFacts) -> PreparedTask:
    """Return the task with its prompt tokens, and `max_tokens` set to what fits the context at most.

    Raises:
        TaskRejection: When anything about the task is wrong; `parameter` names it.
    """
    _check_sampling(task.sampling, facts)
    tokens = _tokens(task.prompt, tokenizer, facts)
    if len(tokens) + 1 > facts.context_tokens:
        raise TaskRejection(
            RejectionCode.CONTEXT_LENGTH_EXCEEDED,
            f"the prompt has {len(tokens)} tokens, but this model's context is {facts.context_tokens} tokens, "
            "of which at least one is for the answer; shorten the prompt",
            parameter=_parameter(task.prompt),
            n_prompt_tokens=len(tokens),
            n_ctx=facts.context_tokens,
        )
    room = facts.context_tokens - len(tokens)
    wanted = task.sampling.max_tokens
    sampling = msgspec.structs.replace(task.sampling, max_tokens=room if wanted is None else min(wanted, room))
    return PreparedTask(task.task_id, tuple(tokens), sampling)


def _reject(parameter: str, message: str) -> Never:
    raise TaskRejection(RejectionCode.INVALID_REQUEST, message, parameter=parameter)


def _parameter(prompt: Prompt) -> str:
    return "messages" if isinstance(prompt, ChatPrompt) else "prompt"


def _check_sampling(sampling: SamplingParameters, facts: ModelFacts) -> None:
    ranges: tuple[tuple[str, float, float, float], ...] = (
        ("temperature", sampling.temperature, 0, 100),
        ("top_p", sampling.top_p, 0, 1),
        ("top_k", sampling.top_k, -1, 2**31),
        ("min_p", sampling.min_p, 0, 1),
        ("repetition_penalty", sampling.repetition_penalty, 0.01, 100),
        ("presence_penalty", sampling.presence_penalty, -100, 100),
        ("frequency_penalty", sampling.frequency_penalty, -100, 100),
    )
    for name, value, low, high in ranges:
        if not low <= value <= high:  # also true of NaN
            _reject(name, f"{name} is {value}; it must be from {low} to {high}")
    if sampling.max_tokens is not None and sampling.max_tokens < 0:
        _reject("max_tokens", f"max_tokens is {sampling.max_tokens}; it must be at least 0")
    if "" in sampling.stop:
        _reject("stop", "a stop sequence is empty; leave it out")
    for token, value in sampling.logit_bias.items():
        if not 0 <= token < facts.vocabulary_size:
            _reject("logit_bias", f"logit_bias names token {token}; this model has 0 to {facts.vocabulary_size - 1}")
        if not math.isfinite(value):
            _reject("logit_bias", f"logit_bias for token {token} is {value}; it must be a finite number")


def _tokens(prompt: Prompt, tokenizer: Tokenizer, facts: ModelFacts) -> Sequence[int]:
    match prompt:
        case ChatPrompt():
            if prompt.requires_thinking and not facts.thinks:
                _reject("think", "this model has no marks for what it thinks; send the request without `think`")
            tokens = _chat(prompt, tokenizer)
        case TextPrompt(text=text):
            special = tokenizer.bos_token is None or not text.startswith(tokenizer.bos_token)
            tokens = tokenizer.encode(text, add_special_tokens=special)
        case TokenPrompt(tokens=tokens):
            outside = [token for token in tokens if not 0 <= token < facts.vocabulary_size]
            if outside:
                _reject("prompt", f"token {outside[0]} does not exist; this model has 0 to {facts.vocabulary_size - 1}")
    if not tokens:
        _reject(_parameter(prompt), f"{_parameter(prompt)} is empty; a model needs at least one token to go on from")
    return tokens


def _chat(prompt: ChatPrompt, tokenizer: Tokenizer) -> list[int]:
    if not prompt.messages:
        _reject("messages", "messages is empty; send at least one message")
    if not tokenizer.has_chat_template:
        _reject("messages", "this model has no chat template; send text to /v1/completions instead")
    if prompt.tools and isinstance(tokenizer.chat_template, str) and "tools" not in tokenizer.chat_template:
        _reject("tools", "this model cannot use tools: its chat template does not show them to it; leave tools out")
    reserved = _RESERVED_ARGUMENTS.intersection(prompt.template_arguments)
    if reserved:
        _reject("chat_template_kwargs", f"{min(reserved)} cannot be set by a request")
    messages = [_message(number, message) for number, message in enumerate(prompt.messages)]
    arguments: dict[str, Any] = {"add_generation_prompt": True, **prompt.template_arguments}
    try:
        return tokenizer.apply_chat_template(messages, tools=list(prompt.tools) or None, **arguments)
    except Exception as exc:  # templates are programs of the model's authors
        message = f"the model's chat template refused the messages: {type(exc).__name__}: {exc}"
        raise TaskRejection(RejectionCode.INVALID_REQUEST, message, parameter="messages") from exc


def _message(number: int, message: Mapping[str, Any]) -> dict[str, Any]:
    """The message as templates expect it: text content, tool arguments as objects."""
    role = message.get("role")
    if role not in _ROLES:
        _reject(f"messages[{number}].role", f"the role {role!r} is unknown; use one of {', '.join(sorted(_ROLES))}")
    result = dict(message)
    if role == "developer":
        result["role"] = "system"  # OpenAI's newer name; templates know the older one
    result["content"] = _content(number, message.get("content"))
    calls = message.get("tool_calls")
    if isinstance(calls, list | tuple):
        result["tool_calls"] = [_tool_call(call) for call in cast(Sequence[object], calls)]
    return result


def _content(number: int, content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    where = f"messages[{number}].content"
    if not isinstance(content, list | tuple):
        _reject(where, f"{where} is neither text nor a list of parts")
    texts: list[str] = []
    for part in cast(Sequence[object], content):
        fields = cast(dict[str, object], part) if isinstance(part, dict) else {}
        text = fields.get("text")
        if fields.get("type") not in _FLATTENED_TYPES or not isinstance(text, str):
            _reject(where, f"{where} has a part of type {fields.get('type')!r}; this model reads text parts only")
        texts.append(text)
    return "".join(texts)


def _tool_call(call: object) -> object:
    """The call with its arguments parsed, where they are JSON; templates print objects, clients send strings."""
    if not isinstance(call, dict):
        return call
    fields = cast(dict[str, Any], call)
    function: object = fields.get("function")
    arguments: object = cast(dict[str, object], function).get("arguments") if isinstance(function, dict) else None
    if not isinstance(arguments, str):
        return fields
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return fields
    return {**fields, "function": {**cast(dict[str, object], function), "arguments": parsed}}
