"""Writes a streamed answer to its client: the shell around `StreamAnswer`.

One task reads events and writes them; another watches that the writing does not get stuck. Whatever ends the writing,
a stream that has begun gets its one terminal event; where even that cannot be written the connection is cut, which
clients see as a failure too.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import anyio
from starlette.types import Send

from transports.http.companions import run_beside
from transports.http.errors import ApiError, internal_error, stopping_error
from transports.http.gateway import TaskStream
from transports.http.limits import HttpLimits
from transports.http.stream_answer import StreamAnswer
from transports.messages import TaskEvent

_LOG = logging.getLogger("ringwarden.http")
_LAST_WORDS_S = 1.0

_HEAD = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class EventStream:
    """One streamed response.

    Args:
        answer: Decides what is written.
        media_type: `content-type` of the response.
        send: The response's ASGI channel.
        limits: Silence, slowness and memory allowed.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        answer: StreamAnswer,
        media_type: str,
        send: Send,
        limits: HttpLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answer = answer
        self._headers = [(b"content-type", media_type.encode("ascii")), *_HEAD]
        self._send = send
        self._limits = limits
        self._clock = clock
        self._head_sent = False
        self._body_ended = False
        self._last_write_s = clock()
        self._writing_since_s: float | None = None

    async def relay(self, stream: TaskStream) -> None:
        """Write the events of `stream` until its terminal one.

        Raises:
            ApiError: The task failed before anything was written.
            ClientGone: The client left its stream unread for `write_timeout_s`.
        """
        try:
            await run_beside(lambda: self._write(stream), self._watch_writing)
        except asyncio.CancelledError:
            if self._head_sent and not self._body_ended:
                with anyio.move_on_after(_LAST_WORDS_S, shield=True):
                    await self._end(stopping_error(self._answer.tokens_emitted))
            raise

    async def _watch_writing(self) -> None:
        """Return when the writer is stuck on a client that does not read."""
        while True:
            await anyio.sleep(self._limits.write_timeout_s / 4)
            since_s = self._writing_since_s
            if since_s is not None and self._clock() - since_s > self._limits.write_timeout_s:
                return

    async def _write(self, stream: TaskStream) -> None:
        try:
            while not self._answer.ended:
                await self._write_once(stream)
        except ApiError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client must not take it for the end.
            _LOG.exception("a stream failed inside the service")
            await self._end(internal_error(self._answer.tokens_emitted))

    async def _write_once(self, stream: TaskStream) -> None:
        answer = self._answer
        events: Sequence[TaskEvent] | None = None
        with anyio.move_on_after(self._limits.comment_interval_s / 2):
            events = await stream.take()
        if events is None:
            data = b""
        else:
            data = b"".join([answer.handle(event) for event in events]) if events else answer.stopped()
        # Events that a client is not shown must not keep it in silence.
        silent_s = self._clock() - self._last_write_s
        if not data and answer.opened and not answer.ended and silent_s >= self._limits.comment_interval_s / 2:
            data = answer.keep_alive()
        if data or answer.ended:
            await self._put(data)

    async def _end(self, error: ApiError) -> None:
        await self._put(self._answer.fail(error))

    async def _put(self, data: bytes) -> None:
        self._writing_since_s = self._clock()
        if not self._head_sent:
            self._head_sent = True
            await self._send({"type": "http.response.start", "status": 200, "headers": [*self._headers]})
        self._body_ended = self._answer.ended
        await self._send({"type": "http.response.body", "body": data, "more_body": not self._body_ended})
        self._writing_since_s = None
        self._last_write_s = self._clock()
