"""`/v1/completions`: its request and answer shapes. Implements `Surface`."""

import msgspec

from transports.http.errors import invalid_request
from transports.http.generation import AnswerIdentity, Generation, StreamWriter, WholeAnswer
from transports.http.openai.chunks import ChoiceShape, ChunkWriter, usage_of
from transports.http.openai.logprobs import completion_logprobs, completion_logprobs_asked
from transports.http.openai.metadata import metadata_of
from transports.http.openai.sampling import SamplingFields, include_usage_of, sampling_of
from transports.http.request_body import decode_body, refuse_unsupported
from transports.http.server_sent_events import MEDIA_TYPE
from transports.messages import TextPrompt, TokenPrompt

_MAX_TOKEN_ID = 2**31 - 1

_SHAPE = ChoiceShape(
    before_text=b'{"index":0,"text":',
    after_text=b',"logprobs":',
    logprobs=completion_logprobs,
    empty=b'{"index":0,"text":"","logprobs":null,"finish_reason":',
    opening=None,
)


class CompletionRequest(SamplingFields, kw_only=True):
    """The body of a completion request, as far as it is read."""

    prompt: str | list[str | int | list[int]]
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    logprobs: int | None = None


class CompletionSurface:
    """Reads completion requests and writes completions."""

    stream_media_type = MEDIA_TYPE

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(CompletionRequest)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Generation:
        """Read and check a completion request; see `Surface.parse`."""
        request = decode_body(self._decoder, body)
        if request.best_of is not None and request.best_of != 1:
            raise invalid_request("best_of", f"`best_of` is {request.best_of}; only 1 is supported. Leave it out.")
        refuse_unsupported({"suffix": request.suffix, "echo": request.echo})
        return Generation(
            model=request.model,
            prompt=_prompt_of(request.prompt),
            sampling=sampling_of(request, completion_logprobs_asked(request.logprobs)),
            stream=bool(request.stream),
            include_usage=include_usage_of(request),
            metadata=metadata_of(request.metadata),
        )

    def stream_writer(self, identity: AnswerIdentity) -> StreamWriter:
        """Return the writer of one streamed answer."""
        return ChunkWriter(identity, _answer_id(identity), "text_completion", _SHAPE)

    def whole(self, identity: AnswerIdentity, answer: WholeAnswer) -> bytes:
        """Return a `text_completion`."""
        finished = answer.finished
        choice = {
            "index": 0,
            "text": answer.reasoning + answer.text,
            "logprobs": completion_logprobs(answer.logprobs) if answer.logprobs else None,
            "finish_reason": finished.finish_reason,
        }
        return self._encoder.encode(
            {
                "id": _answer_id(identity),
                "object": "text_completion",
                "created": identity.created,
                "model": identity.model,
                "choices": [choice],
                "usage": usage_of(finished),
            }
        )


def _answer_id(identity: AnswerIdentity) -> str:
    return f"cmpl-{identity.task_id}"


def _prompt_of(prompt: str | list[str | int | list[int]]) -> TextPrompt | TokenPrompt:
    """One prompt, in any of the four shapes that OpenAI allows: text, tokens, or a list of one of these."""
    if not prompt:
        raise invalid_request("prompt", "`prompt` is empty. Send text or token ids.")
    if isinstance(prompt, str):
        return TextPrompt(prompt)
    tokens = tuple(item for item in prompt if isinstance(item, int))
    if len(tokens) == len(prompt):
        return _token_prompt(tokens)
    if len(prompt) > 1:
        raise invalid_request(
            "prompt", f"`prompt` holds {len(prompt)} prompts; only 1 per request is supported. Send more requests."
        )
    match prompt[0]:
        case str() as text:
            return _prompt_of(text)
        case list() as inner:
            return _prompt_of([*inner])
        case _ as token:
            return _token_prompt((token,))


def _token_prompt(tokens: tuple[int, ...]) -> TokenPrompt:
    for index, token in enumerate(tokens):
        if not 0 <= token <= _MAX_TOKEN_ID:
            raise invalid_request(f"prompt[{index}]", f"`prompt[{index}]` is {token}; token ids start at 0.")
    return TokenPrompt(tokens)
