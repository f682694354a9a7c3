"""One generating endpoint: from a request body to an answer, streamed or whole, through the gateway."""

import time
from contextlib import AbstractAsyncContextManager
from typing import assert_never

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from transports.http.companions import run_beside, until_disconnect
from transports.http.error_rows import error_of_incident, error_of_refusal, error_of_rejection
from transports.http.errors import internal_error
from transports.http.event_stream import EventStream
from transports.http.gateway import Gateway, Refusal, TaskStream
from transports.http.generation import AnswerIdentity, Generation, Surface
from transports.http.held_text import HeldText
from transports.http.limits import HttpLimits
from transports.http.request_body import read_body
from transports.http.request_id import request_id_of
from transports.http.stream_answer import StreamAnswer, cancelled_error
from transports.http.task_timing import TaskTiming, TimedTask
from transports.messages import (
    ErrorChunk,
    PrefillProgress,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TaskRejected,
    TokenChunk,
)
from transports.output_events import TaskLog, TaskStderr, TaskStdout


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
        generation = self._surface.parse(body)
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
                text, finished = await self._collect(TimedTask(stream, timing))
                return self._surface.whole(_identity(generation, stream, timing), text, finished)
        except Refusal as refusal:
            raise error_of_refusal(refusal) from refusal

    def _submit(self, generation: Generation, request_id: str) -> AbstractAsyncContextManager[TaskStream]:
        return self._gateway.submit(
            generation.model, generation.prompt, generation.sampling, request_id, metadata=generation.metadata
        )

    async def _collect(self, stream: TaskStream) -> tuple[str, TaskFinished]:
        whole = _WholeAnswer(self._limits)
        while events := await stream.take():
            for event in events:
                if (finished := whole.handle(event)) is not None:
                    return whole.text, finished
        raise internal_error(whole.tokens)


class _WholeAnswer:
    """Collects the text of an answer that is not streamed."""

    def __init__(self, limits: HttpLimits) -> None:
        self._held = HeldText(limits.max_answer_bytes)
        self.tokens = 0

    @property
    def text(self) -> str:
        return self._held.text

    def handle(self, event: TaskEvent) -> TaskFinished | None:
        """Take one event; return the good end when this is it.

        Raises:
            ApiError: The task ended badly, or its answer is too long to be held.
        """
        match event:
            case TokenChunk():
                self.tokens += 1
                self._held.add(event.text, self.tokens)
            case TaskFinished():
                if event.finish_reason == "cancelled":
                    raise cancelled_error(self.tokens)
                self._held.add(event.text, self.tokens)
                return event
            case TaskRejected():
                raise error_of_rejection(event, self.tokens)
            case ErrorChunk():
                raise error_of_incident(event)
            case TaskAccepted() | PrefillProgress() | TaskStdout() | TaskStderr() | TaskLog():
                pass
            case _:
                assert_never(event)
        return None


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
