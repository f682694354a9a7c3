"""What a runner says of an answer: its tokens, its calls of tools, its end. Part of what the channel carries."""

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


class TokenCandidate(msgspec.Struct, frozen=True, array_like=True):
    """A token that could be chosen, and its log-probability in what the model says after biases and penalties.

    That is before temperature and all else that sampling changes. What is impossible has -9999, as in OpenAI's answers.

    `text` is the token alone, with U+FFFD for bytes that are no whole character; `data` are its bytes.
    """

    text: str
    data: bytes
    logprob: float


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """One token of the answer's text: the one that was chosen, and the likeliest ones, best first.

    `offset` is where the token begins in the answer's text, in characters.
    """

    chosen: TokenCandidate
    offset: int
    top: tuple[TokenCandidate, ...] = ()


class TokenChunk(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """One generated token, and what can be shown since the one before it.

    `text` and `reasoning` are both empty while a character, a stop sequence, a mark or a tool call is incomplete.
    Where both are there, the reasoning came first. `logprobs` are those of the tokens whose first character is in
    `text`, in order: none, this token's, or several that were held back. Reasoning, marks and tool calls have none.
    """

    task_id: str
    index: int
    token: int
    text: str
    reasoning: str = ""
    logprobs: tuple[TokenLogprobs, ...] = ()


class ToolCallChunk(msgspec.Struct, frozen=True, tag=True):
    """One whole call of a tool. `index` counts the task's calls from 0, `arguments` is the JSON text of an object."""

    task_id: str
    index: int
    call_id: str
    name: str
    arguments: str


class TaskFinished(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Terminal. `text`, `reasoning` and `logprobs` are what was still held back, as in `TokenChunk`.

    `finish_reason` is `tool_calls` where it would be `stop`, but there was at least one `ToolCallChunk`.
    `stop_sequence` is the one of `SamplingParameters.stop` that ended the answer.
    `reasoning_tokens` are those of `completion_tokens` that were spent on reasoning.
    """

    task_id: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    text: str = ""
    reasoning: str = ""
    logprobs: tuple[TokenLogprobs, ...] = ()
    stop_sequence: str | None = None
    reasoning_tokens: int = 0
