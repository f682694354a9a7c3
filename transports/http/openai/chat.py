"""`/v1/chat/completions`: its request and answer shapes. Implements `Surface`."""

from typing import Any

import msgspec

from transports.http.errors import invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.openai.chat_answer import ChatChunkWriter, choice_of
from transports.http.openai.chunks import usage_of
from transports.http.openai.logprobs import chat_logprobs_asked
from transports.http.openai.messages import Message, template_messages
from transports.http.openai.metadata import metadata_of
from transports.http.openai.sampling import SamplingFields, include_usage_of, sampling_of
from transports.http.openai.tools import chat_tools
from transports.http.request_body import check_free_form, decode_body
from transports.http.server_sent_events import MEDIA_TYPE
from transports.http.thinking import thinking_arguments
from transports.messages import ChatPrompt


class ResponseFormat(msgspec.Struct, frozen=True):
    """`response_format`; only `text` is served."""

    type: str


class ChatRequest(SamplingFields, kw_only=True):
    """The body of a chat request, as far as it is read."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: Any = None
    function_call: Any = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class ChatSurface:
    """Reads chat requests and writes chat answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(ChatRequest)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Generation:
        """Read and check a chat request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        _check_features(request)
        return Generation(
            model=request.model,
            prompt=ChatPrompt(
                messages=template_messages(request.messages),
                tools=chat_tools(request.tools, request.tool_choice),
                template_arguments=_template_arguments_of(request),
            ),
            sampling=sampling_of(
                request,
                chat_logprobs_asked(request.logprobs, request.top_logprobs),
                max_tool_calls=1 if request.parallel_tool_calls is False else None,
            ),
            stream=bool(request.stream),
            include_usage=include_usage_of(request),
            metadata=metadata_of(request.metadata),
        )

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return ChatChunkWriter(identity, _answer_id(identity))

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return a `chat.completion`."""
        return self._encoder.encode(
            {
                "id": _answer_id(identity),
                "object": "chat.completion",
                "created": identity.created,
                "model": identity.model,
                "choices": [choice_of(answer)],
                "usage": usage_of(answer.finished),
            }
        )


def _answer_id(identity: AnswerIdentity) -> str:
    return f"chatcmpl-{identity.task_id}"


def _check_features(request: ChatRequest) -> None:
    if request.response_format is not None and request.response_format.type != "text":
        raise invalid_request(
            "response_format",
            f"`response_format` is `{request.response_format.type}`; only `text` is supported: answers cannot be held "
            "to JSON here. Leave it out, and ask for JSON in a message.",
        )
    for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
        if getattr(request, old) is not None:
            raise invalid_request(old, f"`{old}` is OpenAI's old name, which is not supported. Use `{new}`.")


def _template_arguments_of(request: ChatRequest) -> dict[str, Any]:
    arguments = request.chat_template_kwargs or {}
    check_free_form("chat_template_kwargs", arguments)
    thinks = None if request.reasoning_effort is None else request.reasoning_effort != "none"
    return {**thinking_arguments(thinks, request.reasoning_effort), **arguments}
