"""`/v1/messages/count_tokens`: its request and answer shapes. Implements `CountingSurface`."""

import msgspec

from transports.http.anthropic.prompt import PromptFields, chat_prompt_of
from transports.http.counting_endpoint import Counted
from transports.http.request_body import decode_body


class CountTokensSurface:
    """Reads what is to be counted and writes the count."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(PromptFields)
        self._encoder = msgspec.json.Encoder()

    def parse(self, body: bytes) -> Counted:
        """Read and check a request; see `CountingSurface.parse`."""
        fields = decode_body(self._decoder, body)
        return Counted(fields.model, chat_prompt_of(fields))

    def whole(self, prompt_tokens: int) -> bytes:
        """Return the count."""
        return self._encoder.encode({"input_tokens": prompt_tokens})
