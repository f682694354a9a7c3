"""`/v1/messages`: its request and answer shapes. Implements `Surface`."""

from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.anthropic.events import EventWriter, message_of
from transports.http.errors import invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter
from transports.http.openai.metadata import metadata_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.http.server_sent_events import MEDIA_TYPE
from transports.http.text_parts import ContentPart, text_of
from transports.http.turns import check_role, checked_conversation
from transports.messages import ChatPrompt, SamplingParameters, TaskFinished

ROLES = ("user", "assistant", "system")


class Turn(msgspec.Struct, frozen=True):
    """One message. `role` is checked by hand, for an error that lists the roles."""

    role: str
    content: str | list[ContentPart]


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`; only `disabled` is served."""

    type: str


class RequestMetadata(msgspec.Struct, frozen=True):
    """`metadata`."""

    user_id: str | None = None


class MessagesRequest(msgspec.Struct, kw_only=True):
    """The body of a request, as far as it is read. Fields that change nothing here, like `service_tier`, are not."""

    model: str
    max_tokens: int
    messages: list[Turn]
    system: str | list[ContentPart] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: RequestMetadata | None = None
    thinking: Thinking | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    mcp_servers: list[Any] | None = None
    container: Any = None
    output_config: Any = None
    output_format: Any = None


class MessagesSurface:
    """Reads Anthropic's requests and writes its answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(MessagesRequest)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        _check_features(request)
        user_id = request.metadata.user_id if request.metadata else None
        return Generation(
            model=request.model,
            prompt=ChatPrompt(messages=_template_messages(request)),
            sampling=_sampling_of(request),
            stream=bool(request.stream),
            include_usage=True,
            metadata=metadata_of({"user_id": user_id} if user_id else None),
        )

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return EventWriter(identity)

    def whole(self, identity: AnswerIdentity, text: str, finished: TaskFinished) -> bytes:
        """Return a `message`."""
        return self._encoder.encode(message_of(identity, text, finished))


def _check_features(request: MessagesRequest) -> None:
    rules.check_model(request.model)
    refuse_unsupported(
        {
            "tools": request.tools,
            "tool_choice": request.tool_choice,
            "mcp_servers": request.mcp_servers,
            "container": request.container,
            "output_config": request.output_config,
            "output_format": request.output_format,
        }
    )
    if request.thinking is not None and request.thinking.type != "disabled":
        raise invalid_request(
            "thinking", f"`thinking.type` is {request.thinking.type!r}; only `disabled` is supported. Leave it out."
        )


def _sampling_of(request: MessagesRequest) -> SamplingParameters:
    return SamplingParameters(
        max_tokens=rules.max_tokens_of("max_tokens", request.max_tokens),
        temperature=rules.number_of("temperature", request.temperature, rules.TEMPERATURE, 1.0),
        top_p=rules.number_of("top_p", request.top_p, rules.TOP_P, 1.0),
        top_k=rules.top_k_of("top_k", request.top_k),
        stop=rules.stop_of("stop_sequences", request.stop_sequences),
    )


def _template_messages(request: MessagesRequest) -> tuple[dict[str, Any], ...]:
    messages: list[dict[str, Any]] = []
    for index, turn in enumerate(request.messages):
        param = f"messages[{index}]"
        check_role(param, turn.role, ROLES)
        messages.append({"role": turn.role, "content": text_of(f"{param}.content", turn.content)})
    checked = checked_conversation("messages", messages)
    if not request.system:
        return checked
    return ({"role": "system", "content": text_of("system", request.system)}, *checked)
