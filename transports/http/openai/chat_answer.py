"""What a chat answer is made of beside text: reasoning and calls of tools; streamed, and as one message."""

from typing import Any

from transports.http.generation import AnswerIdentity, WholeAnswer
from transports.http.json_line import encode_line
from transports.http.openai.chunks import ChoiceShape, ChunkWriter
from transports.http.openai.logprobs import chat_logprobs
from transports.messages import ToolCallChunk

_SHAPE = ChoiceShape(
    before_text=b'{"index":0,"delta":{"content":',
    after_text=b'},"logprobs":',
    logprobs=chat_logprobs,
    empty=b'{"index":0,"delta":{},"logprobs":null,"finish_reason":',
    opening=b'{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":',
)
_BEFORE_DELTA = b'{"index":0,"delta":'
_AFTER_DELTA = b',"logprobs":null,"finish_reason":null}'


class ChatChunkWriter(ChunkWriter):
    """Writes one chat answer's chunks. Implements `StreamWriter`.

    Args:
        identity: Repeated in each chunk.
        answer_id: `id` of each chunk.
    """

    def __init__(self, identity: AnswerIdentity, answer_id: str) -> None:
        super().__init__(identity, answer_id, "chat.completion.chunk", _SHAPE)

    def reasoning(self, text: str) -> bytes:
        """Return one chunk of reasoning."""
        return self._delta(_reasoning(text))

    def tool_call(self, call: ToolCallChunk) -> bytes:
        """Return one chunk with the whole call: clients add up the pieces of calls, of which this is the only one."""
        return self._delta({"tool_calls": [{"index": call.index, **_tool_call(call)}]})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._choice(_BEFORE_DELTA + encode_line(delta) + _AFTER_DELTA)


def choice_of(answer: WholeAnswer) -> dict[str, Any]:
    """Return the only entry of `choices` of a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message |= _reasoning(answer.reasoning)
    if answer.tool_calls:
        message["content"] = answer.text if answer.text.strip() else None
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    return {
        "index": 0,
        "message": message,
        "logprobs": chat_logprobs(answer.logprobs) if answer.logprobs else None,
        "finish_reason": answer.finished.finish_reason,
    }


def _reasoning(text: str) -> dict[str, Any]:
    """OpenAI has no name for it: DeepSeek's, which most clients read, and that of vLLM and mlx-lm."""
    return {"reasoning_content": text, "reasoning": text}


def _tool_call(call: ToolCallChunk) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
