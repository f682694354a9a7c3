"""`/api/generate`: its request and answer shapes. Implements `Surface`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from transports.http.errors import internal_error, invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.ollama.lines import MEDIA_TYPE, AnswerShape, LineWriter, whole_object
from transports.http.ollama.request import OllamaFields, generation_of, loading_of, thinking_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.messages import ChatPrompt, Prompt, TextPrompt, ToolCallChunk


class GenerateRequest(OllamaFields, kw_only=True):
    """The body of a request, as far as it is read. `raw` keeps the model's chat template out."""

    prompt: str = ""
    system: str | None = None
    raw: bool | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[Any] | None = None


class OllamaGenerateSurface:
    """Reads generate requests and writes their answers."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(GenerateRequest)

    def parse(self, body: bytes) -> Generation:
        """Read and check a request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        refuse_unsupported(
            {
                "suffix": request.suffix,
                "template": request.template,
                "context": request.context,
                "images": request.images,
            }
        )
        return generation_of(request, _prompt_of(request)) if request.prompt else loading_of(request)

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return LineWriter(identity, _SHAPE)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return the answer as one object."""
        return whole_object(identity, _SHAPE, answer)


def _prompt_of(request: GenerateRequest) -> Prompt:
    if request.raw:
        if request.think is not None:
            raise invalid_request("think", "`think` is for the chat template, which `raw` keeps out. Leave one out.")
        return TextPrompt(request.prompt)
    system = ({"role": "system", "content": request.system},) if request.system else ()
    return ChatPrompt(
        messages=(*system, {"role": "user", "content": request.prompt}),
        template_arguments=thinking_of(request.think),
        requires_thinking=bool(request.think),
    )


def _members(text: str, thinking: str, calls: Sequence[ToolCallChunk]) -> dict[str, Any]:
    if calls:
        raise internal_error()  # No tools were offered.
    return {"response": text, **({"thinking": thinking} if thinking else {})}


_SHAPE = AnswerShape(b'"response":', b"", _members)
