"""An endpoint that counts a request's tokens by the model's own chat template and tokenizer, and computes nothing."""

from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from transports.http.answer_collector import AnswerCollector
from transports.http.companions import run_beside, until_disconnect
from transports.http.error_rows import error_of_refusal
from transports.http.errors import internal_error
from transports.http.gateway import Gateway, Refusal, TaskStream
from transports.http.limits import HttpLimits
from transports.http.request_body import read_body
from transports.http.request_id import request_id_of
from transports.http.request_timeout import request_timeout_of
from transports.messages import Prompt, SamplingParameters, TaskRejected

_COUNT_ONLY = SamplingParameters(max_tokens=0)


class Counted(msgspec.Struct, frozen=True):
    """What is to be counted."""

    model: str
    prompt: Prompt


class CountingSurface(Protocol):
    """One API's shapes. Pure."""

    def parse(self, body: bytes) -> Counted:
        """Read and check a request body.

        Raises:
            ApiError: 400 with the field at fault.
        """
        ...

    def whole(self, prompt_tokens: int) -> bytes: ...


class CountingEndpoint:
    """Handles one path. A count is a task like any other: it waits for its group, and fails with it.

    Args:
        gateway: The supervisor.
        surface: The API's shapes.
        limits: What one client may cost.
    """

    def __init__(self, gateway: Gateway, surface: CountingSurface, limits: HttpLimits) -> None:
        self._gateway = gateway
        self._surface = surface
        self._limits = limits

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            ApiError: It cannot be answered.
            ClientGone: Nobody reads the answer.
        """
        counted = self._surface.parse(await read_body(request.scope, request.receive, self._limits))
        request_id, timeout_s = request_id_of(request.scope), request_timeout_of(request.scope)
        tokens = await run_beside(
            lambda: self._count(counted, request_id, timeout_s), lambda: until_disconnect(request.receive)
        )
        return Response(self._surface.whole(tokens), media_type="application/json")

    async def _count(self, counted: Counted, request_id: str, timeout_s: float | None) -> int:
        try:
            async with self._gateway.submit(
                counted.model, counted.prompt, _COUNT_ONLY, request_id, timeout_s=timeout_s
            ) as stream:
                return await self._collect(stream)
        except Refusal as refusal:
            raise error_of_refusal(refusal) from refusal

    async def _collect(self, stream: TaskStream) -> int:
        collector = AnswerCollector(self._limits.max_answer_bytes)
        while events := await stream.take():
            for event in events:
                if isinstance(event, TaskRejected) and event.n_prompt_tokens is not None:
                    return event.n_prompt_tokens  # Too long to be answered: what the client wants to know.
                if (answer := collector.handle(event)) is not None:
                    return answer.finished.prompt_tokens
        raise internal_error()
