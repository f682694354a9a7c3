"""`/v1/responses`: its request and answer shapes, text in and text out. Implements `Surface`."""

from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.errors import invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.limits import HttpLimits
from transports.http.openai.metadata import metadata_of
from transports.http.openai.response_events import ResponseEventWriter, response_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.http.server_sent_events import MEDIA_TYPE
from transports.http.text_parts import ContentPart, text_of
from transports.http.turns import check_role
from transports.messages import ChatPrompt, SamplingParameters

ROLES = ("user", "assistant", "system", "developer")
_TEXT_PARTS = ("input_text", "output_text")


class InputItem(msgspec.Struct, frozen=True):
    """One item of `input`; only messages are served. Its type and role are checked by hand, for better errors."""

    type: str = "message"
    role: str = ""
    content: str | list[ContentPart] = ""


class TextFormat(msgspec.Struct, frozen=True):
    """`text.format`; only `text` is served."""

    type: str


class TextSettings(msgspec.Struct, frozen=True):
    """`text`."""

    format: TextFormat | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """`reasoning`; no effort can be asked for."""

    effort: Any = None
    summary: Any = None
    generate_summary: Any = None


class ResponsesRequest(msgspec.Struct, kw_only=True):
    """The body of a request, as far as it is read. `store` is not: nothing is stored, and the answer says so."""

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    text: TextSettings | None = None
    truncation: str | None = None
    tool_choice: Any = None
    reasoning: Reasoning | None = None
    tools: list[Any] | None = None
    background: bool | None = None
    context_management: Any = None
    conversation: Any = None
    include: list[Any] | None = None
    max_tool_calls: int | None = None
    moderation: Any = None
    previous_response_id: str | None = None
    prompt: Any = None
    top_logprobs: int | None = None


_REFUSED = (
    "tools",
    "background",
    "context_management",
    "conversation",
    "include",
    "max_tool_calls",
    "moderation",
    "previous_response_id",
    "prompt",
    "top_logprobs",
)


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
        rules.check_model(request.model)
        _check_features(request)
        return Generation(
            model=request.model,
            prompt=ChatPrompt(messages=_template_messages(request)),
            sampling=SamplingParameters(
                max_tokens=rules.max_tokens_of("max_output_tokens", request.max_output_tokens),
                temperature=rules.number_of("temperature", request.temperature, rules.TEMPERATURE, 1.0),
                top_p=rules.number_of("top_p", request.top_p, rules.TOP_P, 1.0),
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
        return self._encoder.encode(response_of(identity, answer.reasoning + answer.text, answer.finished))


def _check_features(request: ResponsesRequest) -> None:
    refuse_unsupported({name: getattr(request, name) for name in _REFUSED})
    reasoning = msgspec.structs.asdict(request.reasoning or Reasoning())
    refuse_unsupported({f"reasoning.{name}": value for name, value in reasoning.items()})
    if request.tool_choice not in (None, "auto", "none"):
        raise invalid_request(
            "tool_choice", "`tool_choice` must be `auto` or `none`: there are no tools. Leave it out."
        )
    if request.truncation not in (None, "disabled"):
        raise invalid_request(
            "truncation", f"`truncation` is {request.truncation!r}; only `disabled` is supported. Leave it out."
        )
    text = request.text or TextSettings()
    if text.format is not None and text.format.type != "text":
        raise invalid_request(
            "text.format", f"`text.format.type` is {text.format.type!r}; only `text` is supported. Leave it out."
        )
    if text.verbosity not in (None, "medium"):
        raise invalid_request("text.verbosity", "`text.verbosity` is not supported by this server. Leave it out.")


def _template_messages(request: ResponsesRequest) -> tuple[dict[str, Any], ...]:
    if not request.input:
        raise invalid_request("input", "`input` is empty. Send text or at least one message.")
    instructions = ({"role": "system", "content": request.instructions},) if request.instructions else ()
    if isinstance(request.input, str):
        return (*instructions, {"role": "user", "content": request.input})
    return (*instructions, *(_template_message(f"input[{index}]", item) for index, item in enumerate(request.input)))


def _template_message(param: str, item: InputItem) -> dict[str, Any]:
    if item.type != "message":
        raise invalid_request(
            f"{param}.type", f"`{param}.type` is {item.type!r}; only `message` items are supported. Send messages."
        )
    check_role(param, item.role, ROLES)
    return {"role": item.role, "content": text_of(f"{param}.content", item.content, _TEXT_PARTS)}
