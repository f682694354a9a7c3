"""`/v1/messages`: its request and answer shapes. Implements `Surface`."""

import msgspec

from transports.http import sampling_rules as rules
from transports.http.anthropic.events import EventWriter
from transports.http.anthropic.message import whole_message
from transports.http.anthropic.prompt import PromptFields, chat_prompt_of
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.openai.metadata import metadata_of
from transports.http.request_body import decode_body
from transports.http.server_sent_events import MEDIA_TYPE
from transports.http.turns import checked_conversation
from transports.messages import SamplingParameters


class RequestMetadata(msgspec.Struct, frozen=True):
    """`metadata`."""

    user_id: str | None = None


class MessagesRequest(PromptFields, kw_only=True):
    """The body of a request, as far as it is read. Fields that change nothing here, like `service_tier`, are not."""

    max_tokens: int
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: RequestMetadata | None = None


class MessagesSurface:
    """Reads Anthropic's requests and writes its answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(MessagesRequest)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        prompt = chat_prompt_of(request)
        checked_conversation("messages", prompt.messages)
        user_id = request.metadata.user_id if request.metadata else None
        return Generation(
            model=request.model,
            prompt=prompt,
            sampling=_sampling_of(request),
            stream=bool(request.stream),
            include_usage=True,
            metadata=metadata_of({"user_id": user_id} if user_id else None),
        )

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return EventWriter(identity)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return a `message`."""
        return self._encoder.encode(whole_message(identity, answer))


def _sampling_of(request: MessagesRequest) -> SamplingParameters:
    return SamplingParameters(
        max_tokens=rules.max_tokens_of("max_tokens", request.max_tokens),
        temperature=rules.number_of("temperature", request.temperature, rules.TEMPERATURE, 1.0),
        top_p=rules.number_of("top_p", request.top_p, rules.TOP_P, 1.0),
        top_k=rules.top_k_of("top_k", request.top_k),
        stop=rules.stop_of("stop_sequences", request.stop_sequences),
        max_tool_calls=1 if request.tool_choice and request.tool_choice.disable_parallel_tool_use else None,
    )
