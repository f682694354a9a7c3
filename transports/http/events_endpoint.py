"""`GET /events`: what happens, as server-sent events, for as long as somebody listens."""

import time
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qs

import anyio
import msgspec
from starlette.types import Receive, Scope, Send

from transports.http.companions import run_beside, until_disconnect
from transports.http.errors import ApiError
from transports.http.gateway import Gateway
from transports.http.limits import HttpLimits
from transports.http.server_sent_events import MEDIA_TYPE, sse_comment
from transports.live import LIVE_EVENT_NAMES, EncodedEvent, LiveFeed, LiveListener, Snapshot, TooManyListeners

_HEAD = (
    (b"content-type", MEDIA_TYPE.encode("ascii")),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_SNAPSHOT_INTERVAL_S = 1.0
_PAUSE_S = 0.05
"""Between two writes to one listener: what comes meanwhile comes together, and many who listen cost little."""
_MAX_REQUESTS_SHOWN = 100
_ENCODER = msgspec.json.Encoder()


class EventsEndpoint:
    """An ASGI application for one path.

    Args:
        gateway: Tells how things are now.
        feed: Tells what happens.
        limits: Silence and slowness allowed.
        clock: Monotonic seconds.
    """

    def __init__(
        self, gateway: Gateway, feed: LiveFeed, limits: HttpLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._feed = feed
        self._limits = limits
        self._clock = clock
        self._snapshot = EncodedEvent(None, Snapshot.__name__, b"")
        self._snapshot_at_s: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with an answer that ends when the service does.

        Raises:
            ApiError: Nothing was sent yet, and this is the answer.
            ClientGone: Nobody reads the answer.
        """
        since, names = _wanted(scope)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEAD]})
            await send({"type": "http.response.body"})
            return
        try:
            listener = self._feed.listen(since, names)
        except TooManyListeners as exc:
            raise ApiError(429, "too_many_listeners", f"{exc}. Close one and try again.", retryable=True) from exc
        try:
            answer = _Answer(send, self._limits, self._clock)
            await run_beside(
                lambda: self._write(listener, answer, wants_snapshots=Snapshot.__name__ in names),
                lambda: until_disconnect(receive),
                answer.watch,
            )
        finally:
            self._feed.leave(listener)

    async def _write(self, listener: LiveListener, answer: "_Answer", *, wants_snapshots: bool) -> None:
        await answer.begin(listener.position)
        shown: EncodedEvent | None = None
        while True:
            newest = self._newest_snapshot() if wants_snapshots else None
            if newest is not shown and newest is not None:
                await answer.put(_wire(newest))
            shown = newest
            events = await listener.take(_SNAPSHOT_INTERVAL_S / 2)
            if events is None:
                break
            await answer.put(b"".join(map(_wire, events)))
            await anyio.sleep(_PAUSE_S)
        await answer.end()

    def _newest_snapshot(self) -> EncodedEvent:
        """One for all who listen: a new one only when the last is a second old."""
        now = self._clock()
        if self._snapshot_at_s is None or now - self._snapshot_at_s >= _SNAPSHOT_INTERVAL_S:
            requests = self._gateway.requests()
            snapshot = Snapshot(time.time(), self._gateway.cluster(), requests[:_MAX_REQUESTS_SHOWN], len(requests))
            self._snapshot = EncodedEvent(None, Snapshot.__name__, _ENCODER.encode(snapshot))
            self._snapshot_at_s = now
        return self._snapshot


class _Answer:
    """The response as it is written: never silent for long, and cut when nobody reads it."""

    def __init__(self, send: Send, limits: HttpLimits, clock: Callable[[], float]) -> None:
        self._send = send
        self._limits = limits
        self._clock = clock
        self._written_at_s = clock()
        self._writing_since_s: float | None = None

    async def begin(self, position: int) -> None:
        """Say where the stream begins, so that a client that loses it before the first event can come back there."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [*_HEAD]})
        await self._put(b": ringwarden\nid: %d\n\n" % position)

    async def put(self, data: bytes) -> None:
        """Write something, or nothing unless there was silence for too long."""
        is_silent = self._clock() - self._written_at_s >= self._limits.comment_interval_s - _SNAPSHOT_INTERVAL_S
        if data or is_silent:
            await self._put(data or sse_comment("listening"))

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def watch(self) -> None:
        """Return when the writer is stuck on a client that does not read."""
        while True:
            await anyio.sleep(self._limits.write_timeout_s / 4)
            since_s = self._writing_since_s
            if since_s is not None and self._clock() - since_s > self._limits.write_timeout_s:
                return

    async def _put(self, data: bytes) -> None:
        self._writing_since_s = self._clock()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._writing_since_s = None
        self._written_at_s = self._clock()


def _wire(event: EncodedEvent) -> bytes:
    number = b"" if event.event_id is None else b"id: %d\n" % event.event_id
    return b"%sevent: %s\ndata: %s\n\n" % (number, event.name.encode("ascii"), event.data)


def _wanted(scope: Scope) -> tuple[int | None, frozenset[str]]:
    """The id after which to begin, and the kinds. A client that reconnects by itself knows best where it was.

    Raises:
        ApiError: One of them is wrong.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    last_ids = [value.decode("latin-1") for name, value in headers if name == b"last-event-id"]
    since = _number(last_ids[-1], "Last-Event-ID") if last_ids else None
    if since is None and "since" in query:
        since = _number(query["since"][-1], "since")
    names = frozenset(name for text in query.get("types", ()) for name in text.split(",") if name)
    unknown = names - frozenset(LIVE_EVENT_NAMES)
    if unknown:
        message = (
            f"types has {min(unknown)[:100]!r}, which is no kind of event. There are {', '.join(LIVE_EVENT_NAMES)}."
        )
        raise ApiError(400, "invalid_request_error", message, param="types")
    return since, names or frozenset(LIVE_EVENT_NAMES)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        message = f"{name} is {text[:100]!r}; it has to be the id of an event, or 0 for all that are kept."
        raise ApiError(400, "invalid_request_error", message, param=name)
    return int(text)
