"""What every generating endpoint has in common: the request after checking, and how an answer is written down.

A surface (OpenAI chat, OpenAI completions, later others) is one adapter: it reads its own request shape and writes
its own answer shape; everything between is shared.
"""

from typing import Protocol

import msgspec

from transports.http.errors import ErrorBody
from transports.messages import Prompt, SamplingParameters, TaskFinished


class Generation(msgspec.Struct, frozen=True):
    """One request to generate, validated. `include_usage` counts only for streams; no model sees the metadata."""

    model: str
    prompt: Prompt
    sampling: SamplingParameters
    stream: bool
    include_usage: bool
    metadata: dict[str, str] = {}


class AnswerIdentity(msgspec.Struct, frozen=True):
    """What every part of one answer repeats. `created` is seconds since the Unix epoch."""

    task_id: str
    model: str
    created: int
    include_usage: bool


class StreamWriter(Protocol):
    """Writes one streamed answer as bytes of an event stream. Pure."""

    def opening(self) -> bytes:
        """Return what comes before the first token; may be empty."""
        ...

    def text(self, text: str) -> bytes: ...

    def finish(self, finished: TaskFinished) -> bytes:
        """Return the normal end, text that was held back included."""
        ...

    def failure(self, error: ErrorBody) -> bytes:
        """Return the event that makes the surface's clients raise; nothing follows it."""
        ...


class Surface(Protocol):
    """One API's shapes. Pure."""

    def parse(self, body: bytes) -> Generation:
        """Read and check a request body.

        Raises:
            ApiError: 400 with the field at fault.
        """
        ...

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter: ...

    def whole(self, identity: AnswerIdentity, text: str, finished: TaskFinished) -> bytes:
        """Return the body of an answer that is not streamed; `text` includes what was held back."""
        ...
