"""Reading a daemon's `/events`: server-sent events as structs, for as long as the daemon sends them."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple

import httpx2
import msgspec

from supervisor.cli.daemon_client import ANSWER_TIMEOUT_S, NoDaemon, authorization, unusual_answer
from supervisor.cli.errors import CommandError
from supervisor.exit_code import ExitCode
from transports import live

LONGEST_SILENCE_S = 15.0
MAX_EVENT_BYTES = 16 * 1024 * 1024
_DECODERS = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (
        live.Snapshot,
        live.StateChanged,
        live.PhaseChanged,
        live.RankDied,
        live.IncidentSeen,
        live.OutputLine,
        live.OutputSkipped,
        live.RequestEnded,
        live.Missed,
    )
}


class FeedLost(Exception):
    """The daemon went away, or sent nothing for too long; the text says which. Trying again may help."""


class NumberedEvent(NamedTuple):
    """An event and its id, which those lack that tell how things are now.

    An id without an event is where the stream begins: who loses it before there was an event goes on from there.
    """

    event_id: int | None
    event: live.LiveEvent | None


@contextmanager
def event_feed(
    url: str,
    api_key: str | None,
    *,
    since: int | None,
    names: tuple[str, ...],
    longest_silence_s: float = LONGEST_SILENCE_S,
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> Generator[Iterator[NumberedEvent]]:
    """Listen to a daemon while the context lasts. Iterating blocks, and ends in `FeedLost`.

    Args:
        url: The daemon's address.
        api_key: Sent as a bearer token when not None.
        since: The last event that is known; 0 for all that are kept, None for what comes from now on.
        names: The kinds that are wanted.
        longest_silence_s: A daemon that sends nothing for so long, not even a comment, counts as gone.
        max_event_bytes: A longer event is none.

    Raises:
        NoDaemon: Nobody answers.
        CommandError: Who answers is no daemon, is full, or wants a key.
    """
    query = {"types": ",".join(names), **({} if since is None else {"since": str(since)})}
    timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, read=longest_silence_s)
    try:
        with (
            httpx2.Client(base_url=url, headers=authorization(api_key), timeout=timeout, trust_env=False) as http,
            http.stream("GET", "/events", params=query) as answer,
        ):
            if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                remedy = "Close one of those that listen, and try again"
                raise CommandError(f"{url} serves as many listeners as it can", remedy, ExitCode.TEMPORARY)
            if answer.status_code != HTTPStatus.OK:
                raise unusual_answer(url, "/events", answer.status_code)
            yield _events(answer, max_event_bytes)
    except httpx2.ConnectError as problem:
        raise NoDaemon(f"nobody answers at {url}") from problem
    except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
        raise FeedLost(str(problem) or type(problem).__name__) from problem


def _events(answer: httpx2.Response, max_event_bytes: int) -> Iterator[NumberedEvent]:
    pending = b""
    for chunk in answer.iter_bytes():
        pending += chunk
        *blocks, pending = pending.split(b"\n\n")
        if len(pending) > max_event_bytes:
            raise FeedLost("it sent an event without an end")
        for block in blocks:
            event = _decoded(block)
            if event is not None:
                yield event
    raise FeedLost("it ended")


def _decoded(block: bytes) -> NumberedEvent | None:
    """A comment is no event; neither is a kind that a later version may have. Both may have an id."""
    lines = (line.partition(b": ") for line in block.split(b"\n"))
    fields = {name: value for name, _, value in lines}
    decoder = _DECODERS.get(fields.get(b"event", b"").decode("ascii", "replace"))
    number = fields.get(b"id", b"")
    event_id = int(number) if number.isdigit() else None
    if decoder is None:
        return None if event_id is None else NumberedEvent(event_id, None)
    try:
        return NumberedEvent(event_id, decoder.decode(fields.get(b"data", b"")))
    except ValueError as problem:  # msgspec's errors are ValueErrors too
        raise FeedLost(f"it sent an event that cannot be understood: {problem}") from problem
