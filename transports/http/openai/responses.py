"""`/v1/responses`: its request and answer shapes. Implements `Surface`."""

from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.errors import invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.limits import HttpLimits
from transports.http.openai.metadata import metadata_of
from transports.http.openai.response_events import ResponseEventWriter
from transports.http.openai.response_object import whole_response
from transports.http.openai.response_prompt import PromptFields, chat_prompt_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.http.server_sent_events import MEDIA_TYPE
from transports.messages import SamplingParameters

# Asked for by clients that cannot know whether a model thinks; here nothing is encrypted.
_HARMLESS_INCLUDES = ("reasoning.encrypted_content",)


class ResponsesRequest(PromptFields, kw_only=True):
    """The body of a request, as far as it is read. `store` is not: nothing is stored, and the answer says so."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    background: bool | None = None
    context_management: Any = None
    include: list[str] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    moderation: Any = None
    prompt: Any = None
    top_logprobs: int | None = None


_REFUSED = ("background", "context_management", "max_tool_calls", "moderation", "prompt", "top_logprobs")


class ResponsesSurface:
    """Reads requests for a response and writes responses.

    Args:
        limits: How much of a streamed answer may be held, since its last events repeat all of it.
    """

    stream_media_type = MEDIA_TYPE

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._decoder = msgspec.json.Decoder(ResponsesRequest)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        refuse_unsupported({name: getattr(request, name) for name in _REFUSED})
        _check_include(request.include or [])
        return Generation(
            model=request.model,
            prompt=chat_prompt_of(request),
            sampling=SamplingParameters(
                max_tokens=rules.max_tokens_of("max_output_tokens", request.max_output_tokens),
                temperature=rules.number_of("temperature", request.temperature, rules.TEMPERATURE, 1.0),
                top_p=rules.number_of("top_p", request.top_p, rules.TOP_P, 1.0),
                max_tool_calls=1 if request.parallel_tool_calls is False else None,
            ),
            stream=bool(request.stream),
            include_usage=True,
            metadata=metadata_of(request.metadata),
        )

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return ResponseEventWriter(identity, self._limits.max_answer_bytes)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return a `response`."""
        return self._encoder.encode(whole_response(identity, answer))


def _check_include(include: list[str]) -> None:
    for name in include:
        if name not in _HARMLESS_INCLUDES:
            raise invalid_request("include", f"`include` names {name!r}, which is not there. Leave it out.")
