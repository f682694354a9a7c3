"""What `/events` tells those who watch: the event contract of the dashboard, of `ringwarden top` and of `events`.

Times named `at` are seconds since the Unix epoch. Strings that came from a runner are as it wrote them: whoever shows
them has to make them harmless first.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from diagnostics.cause import Cause
from diagnostics.incident import Incident
from diagnostics.phase import Phase
from transports.http.gateway import ClusterView, GroupState
from transports.http.request_view import RequestView
from transports.output_events import OutputStream

LiveAttribution = Literal["exact", "shared", "none"]


class Snapshot(msgspec.Struct, frozen=True, tag=True):
    """Everything that is shown as it is now. Sent first, and then at most once a second; has no id.

    The service's figures are in `cluster`. `requests` are the oldest that are open, of `open_requests` in all.
    """

    at: float
    cluster: ClusterView
    requests: tuple[RequestView, ...] = ()
    open_requests: int = 0


class StateChanged(msgspec.Struct, frozen=True, tag=True):
    """The group entered a state."""

    at: float
    state: GroupState
    reason: str | None
    generation: int


class PhaseChanged(msgspec.Struct, frozen=True, tag=True):
    """A rank entered a phase. How far it is within one is in the next snapshot."""

    at: float
    rank: int
    phase: Phase
    generation: int


class RankDied(msgspec.Struct, frozen=True, tag=True):
    """A rank died that was not asked to. `message` is about this rank alone; the verdict may name another one.

    `died_at_s` is monotonic time of its node, to order the deaths on one node.
    """

    at: float
    rank: int
    generation: int
    node: str
    cause: Cause
    message: str
    incident_id: str
    died_at_s: float


class IncidentSeen(msgspec.Struct, frozen=True, tag=True):
    """An incident was declared, or is known better now: a later version replaces the one with the same id.

    Its certificates lack what is long: `/incidents/ID` has their stacks, their last lines and their memory.
    """

    at: float
    incident: Incident


class OutputLine(msgspec.Struct, frozen=True, tag=True):
    """A rank wrote a line. `tasks` are those in flight as it was written, `none` of them for a rank at rest.

    `exact` lines belong to their one task, `shared` ones to one of several.
    """

    at: float
    rank: int
    stream: OutputStream
    text: str
    tasks: tuple[str, ...]
    attribution: LiveAttribution


class OutputSkipped(msgspec.Struct, frozen=True, tag=True):
    """A rank wrote faster than is shown; the node's raw logs have all of it."""

    at: float
    rank: int
    stream: OutputStream
    skipped_bytes: int


class RequestEnded(msgspec.Struct, frozen=True, tag=True):
    """A request that a runner was given has ended. `outcome` is one of finished, cancelled, rejected, failed."""

    at: float
    task_id: str
    outcome: str
    started_at: float
    detail: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    incident_id: str | None = None


class Missed(msgspec.Struct, frozen=True, tag=True):
    """Events are gone that this listener has not been sent: it was too slow, or away for too long.

    At most so many; None when the daemon was restarted meanwhile, and nobody knows. Has no id.
    """

    events: int | None


RecordedEvent = StateChanged | PhaseChanged | RankDied | IncidentSeen | OutputLine | OutputSkipped | RequestEnded
LiveEvent = Snapshot | RecordedEvent | Missed
LIVE_EVENT_NAMES = tuple(
    kind.__name__
    for kind in (
        Snapshot,
        StateChanged,
        PhaseChanged,
        RankDied,
        IncidentSeen,
        OutputLine,
        OutputSkipped,
        RequestEnded,
        Missed,
    )
)


class EncodedEvent(NamedTuple):
    """An event as it is sent: encoded once, however many listen. Ids only grow, also when the daemon is restarted."""

    event_id: int | None
    name: str
    data: bytes


class LiveListener(Protocol):
    """One who listens."""

    @property
    def position(self) -> int:
        """The id of the event after which `take` goes on."""
        ...

    async def take(self, within_s: float) -> Sequence[EncodedEvent] | None:
        """Return what is new since the last call, in order, waiting up to `within_s` for the first of it.

        Empty when nothing came, None when nothing will come any more. Cancelling it loses nothing.
        """
        ...


class TooManyListeners(Exception):
    """No more can be served; the message says how many there are."""


class LiveFeed(Protocol):
    """Where events come from. Used from the event loop; nothing but `take` waits."""

    def listen(self, since: int | None, names: frozenset[str]) -> LiveListener:
        """Begin to listen.

        Args:
            since: The id of the last event that is known; 0 for all that are kept, None for what comes from now on.
            names: The kinds that are wanted.

        Raises:
            TooManyListeners: Nobody else can listen.
        """
        ...

    def leave(self, listener: LiveListener) -> None:
        """End one's listening."""
        ...
