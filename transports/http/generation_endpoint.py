"""One generating endpoint: from a request body to an answer, streamed or whole, through the gateway."""

import time
from contextlib import AbstractAsyncContextManager

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from transports.http.answer_collector import AnswerCollector
from transports.http.companions import run_beside, until_disconnect
from transports.http.error_rows import error_of_refusal
from transports.http.errors import internal_error
from transports.http.event_stream import EventStream
from transports.http.gateway import Gateway, Refusal, TaskStream
from transports.http.generation import AnswerIdentity, Generation, Surface, WholeAnswer
from transports.http.limits import HttpLimits
from transports.http.request_body import read_body
from transports.http.request_id import request_id_of
from transports.http.request_timeout import request_timeout_of
from transports.http.stream_answer import StreamAnswer
from transports.http.task_timing import TaskTiming, TimedTask


class GenerationEndpoint:
    """An ASGI application for one path.

    The client's connection is watched from the moment its body is read: when it closes, the gateway's context is
    left, which cancels the task, streamed or not.

    Args:
        gateway: The supervisor.
        surface: The API's shapes.
        limits: What one client may cost.
    """

    def __init__(self, gateway: Gateway, surface: Surface, limits: HttpLimits) -> None:
        self._gateway = gateway
        self._surface = surface
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ApiError: Nothing was sent yet, and this is the answer.
            ClientGone: Nobody reads the answer.
        """
        body = await read_body(scope, receive, self._limits)
        generation = msgspec.structs.replace(self._surface.parse(body), timeout_s=request_timeout_of(scope))
        request_id = request_id_of(scope)
        if generation.stream:
            await run_beside(lambda: self._stream(generation, request_id, send), lambda: until_disconnect(receive))
            return
        whole = await run_beside(lambda: self._whole(generation, request_id), lambda: until_disconnect(receive))
        await Response(whole, media_type="application/json")(scope, receive, send)

    async def _stream(self, generation: Generation, request_id: str, send: Send) -> None:
        timing = TaskTiming()
        try:
            async with self._submit(generation, request_id) as stream:
                timing.submitted()
                answer = StreamAnswer(self._surface.stream_writer(_identity(generation, stream, timing)), request_id)
                out = EventStream(answer, self._surface.stream_media_type, send, self._limits)
                await out.relay(TimedTask(stream, timing))
        except Refusal as refusal:
            raise error_of_refusal(refusal) from refusal

    async def _whole(self, generation: Generation, request_id: str) -> bytes:
        timing = TaskTiming()
        try:
            async with self._submit(generation, request_id) as stream:
                timing.submitted()
                answer = await self._collect(TimedTask(stream, timing))
                return self._surface.whole(_identity(generation, stream, timing), answer)
        except Refusal as refusal:
            raise error_of_refusal(refusal) from refusal

    def _submit(self, generation: Generation, request_id: str) -> AbstractAsyncContextManager[TaskStream]:
        return self._gateway.submit(
            generation.model,
            generation.prompt,
            generation.sampling,
            request_id,
            metadata=generation.metadata,
            timeout_s=generation.timeout_s,
        )

    async def _collect(self, stream: TaskStream) -> WholeAnswer:
        collector = AnswerCollector(self._limits.max_answer_bytes)
        while events := await stream.take():
            for event in events:
                if (whole := collector.handle(event)) is not None:
                    return whole
        raise internal_error(collector.tokens)


def _identity(generation: Generation, stream: TaskStream, timing: TaskTiming) -> AnswerIdentity:
    return AnswerIdentity(
        task_id=stream.task_id,
        model=generation.model,
        created=int(time.time()),
        include_usage=generation.include_usage,
        sampling=generation.sampling,
        metadata=generation.metadata,
        timing=timing,
    )
