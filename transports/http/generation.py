"""What every generating endpoint has in common: the request after checking, and how an answer is written down.

A surface (OpenAI chat, Anthropic messages, Ollama and so on) is one adapter: it reads its own request shape and writes
its own answer shape; everything between is shared.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from transports.answers import TokenLogprobs
from transports.http.errors import ApiError
from transports.http.task_timing import TaskTiming
from transports.messages import Prompt, SamplingParameters, TaskFinished, ToolCallChunk


class Generation(msgspec.Struct, frozen=True):
    """One request to generate, validated. `include_usage` counts only for streams; no model sees the metadata."""

    model: str
    prompt: Prompt
    sampling: SamplingParameters
    stream: bool
    include_usage: bool
    metadata: dict[str, str] = {}
    timeout_s: float | None = None


class AnswerIdentity(msgspec.Struct, frozen=True):
    """What the parts of one answer repeat. `created` is seconds since the Unix epoch."""

    task_id: str
    model: str
    created: int
    include_usage: bool
    sampling: SamplingParameters = SamplingParameters()
    metadata: dict[str, str] = {}
    timing: TaskTiming = msgspec.field(default_factory=TaskTiming)


class WholeAnswer(msgspec.Struct, frozen=True):
    """An answer that ended well, in the order in which its parts are told: reasoning, text, calls.

    All that was held back until the end is in it already. `logprobs` has one entry for each token of `text`, none
    unless they were asked for.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCallChunk, ...]
    logprobs: tuple[TokenLogprobs, ...]
    finished: TaskFinished


class StreamWriter(Protocol):
    """Writes one streamed answer as bytes. Pure but for what a task's timing says.

    The order of calls: `opening`; any number of `reasoning`, `text`, `tool_call` and `keep_alive`; then `finish` or
    `failure`, after which nothing is called. What was held back until the end has been written before `finish`.
    """

    def opening(self, prompt_tokens: int) -> bytes:
        """Return what comes before the first token; may be empty. 0 tokens means: not known yet."""
        ...

    def text(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> bytes:
        """Return one piece of the answer, never empty unless it brings logprobs.

        Args:
            text: The piece.
            logprobs: Of the tokens that begin in it; none unless the request asked for them.

        Raises:
            ApiError: The answer cannot go on.
        """
        ...

    def reasoning(self, text: str) -> bytes:
        """Return one piece, never empty, of what the model thinks before it answers.

        Raises:
            ApiError: The answer cannot go on.
        """
        ...

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Return one whole call of a tool; text and more calls may follow it.

        Raises:
            ApiError: The answer cannot go on.
        """
        ...

    def keep_alive(self, note: str) -> bytes:
        """Return what clients skip, so that the connection is not silent; `note` is one line of ASCII for people."""
        ...

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the normal end. The held-back text of `finished` has been written already.

        Raises:
            ApiError: The answer cannot end well.
        """
        ...

    def failure(self, error: ApiError, request_id: str) -> bytes:
        """Return what makes the surface's clients raise; nothing follows it."""
        ...


class Surface(Protocol):
    """One API's shapes. Pure."""

    @property
    def stream_media_type(self) -> str:
        """`content-type` of a streamed answer."""
        ...

    def parse(self, body: bytes) -> Generation:
        """Read and check a request body.

        Raises:
            ApiError: 400 with the field at fault.
        """
        ...

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter: ...

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return the body of an answer that is not streamed."""
        ...
