"""`/api/chat`: its request and answer shapes. Implements `Surface`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.ollama.lines import MEDIA_TYPE, AnswerShape, LineWriter, whole_object
from transports.http.ollama.messages import Message, template_messages
from transports.http.ollama.request import OllamaFields, generation_of, loading_of, thinking_of
from transports.http.request_body import check_free_form, decode_body
from transports.http.turns import checked_conversation
from transports.messages import ChatPrompt, ToolCallChunk


class ChatRequest(OllamaFields, kw_only=True):
    """The body of a request, as far as it is read."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


class OllamaChatSurface:
    """Reads chat requests and writes chat answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(ChatRequest)

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        if not request.messages:
            return loading_of(request)
        check_free_form("tools", request.tools or [])
        prompt = ChatPrompt(
            messages=checked_conversation("messages", template_messages(request.messages)),
            tools=tuple(request.tools or ()),
            template_arguments=thinking_of(request.think),
            requires_thinking=bool(request.think),
        )
        return generation_of(request, prompt)

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return LineWriter(identity, _SHAPE)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return the answer as one object."""
        return whole_object(identity, _SHAPE, answer)


def _members(text: str, thinking: str, calls: Sequence[ToolCallChunk]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["content"] = text if text.strip() else ""
        message["tool_calls"] = [_tool_call(call) for call in calls]
    return {"message": message}


def _tool_call(call: ToolCallChunk) -> dict[str, Any]:
    # On one line, as all of this format, and otherwise as it is: what was a number to the model stays one.
    arguments = msgspec.Raw(msgspec.json.format(call.arguments.encode(), indent=-1))
    return {"id": call.call_id, "function": {"index": call.index, "name": call.name, "arguments": arguments}}


_SHAPE = AnswerShape(b'"message":{"role":"assistant","content":', b"}", _members)
