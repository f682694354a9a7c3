"""`/api/chat`: its request and answer shapes. Implements `Surface`."""

from typing import Any

import msgspec

from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.ollama.lines import MEDIA_TYPE, LineWriter, TextShape, whole_object
from transports.http.ollama.request import OllamaFields, generation_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.http.turns import check_role, checked_conversation
from transports.messages import ChatPrompt

ROLES = ("system", "user", "assistant")

_SHAPE = TextShape(b'"message":{"role":"assistant","content":', b"}")


class Message(msgspec.Struct, frozen=True):
    """One message. `role` is checked by hand, for an error that lists the roles."""

    role: str
    content: str | None = None
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None


class ChatRequest(OllamaFields, kw_only=True):
    """The body of a request, as far as it is read."""

    messages: list[Message]
    tools: list[Any] | None = None


class OllamaChatSurface:
    """Reads chat requests and writes chat answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(ChatRequest)

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        refuse_unsupported({"tools": request.tools})
        messages = [_template_message(f"messages[{index}]", message) for index, message in enumerate(request.messages)]
        return generation_of(request, ChatPrompt(messages=checked_conversation("messages", messages)))

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return LineWriter(identity, _SHAPE)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return the answer as one object."""
        return whole_object(identity, _SHAPE, answer.reasoning + answer.text, answer.finished)


def _template_message(param: str, message: Message) -> dict[str, Any]:
    check_role(param, message.role, ROLES)
    refuse_unsupported({f"{param}.images": message.images, f"{param}.tool_calls": message.tool_calls})
    return {"role": message.role, "content": message.content or ""}
