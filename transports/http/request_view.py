"""What `/v1/requests` shows of a request that is open."""

from enum import StrEnum

import msgspec


class RequestState(StrEnum):
    """What happens to a request. `QUEUED` waits for a restarting group, or for a place in it."""

    QUEUED = "queued"
    PREFILL = "prefill"
    DECODE = "decode"


class TaskProgress(msgspec.Struct, frozen=True):
    """How far a task has come. `position` of `waiting`, or `done` of `total` prompt tokens, where they are known."""

    state: RequestState
    position: int | None = None
    waiting: int | None = None
    done: int | None = None
    total: int | None = None
    tokens: int = 0


class RequestView(msgspec.Struct, frozen=True):
    """One open request. `id` is unique among those that are open; a second one that was sent under it has `.2` there.

    `remaining_s` is what is left of its deadline.
    """

    id: str
    model: str
    state: RequestState
    age_s: float
    tokens: int
    position: int | None = None
    waiting: int | None = None
    done: int | None = None
    total: int | None = None
    remaining_s: float | None = None
    metadata: dict[str, str] = {}


class RequestsView(msgspec.Struct, frozen=True):
    """What `/v1/requests` prints: oldest first."""

    requests: tuple[RequestView, ...]


class CancelledView(msgspec.Struct, frozen=True):
    """What `DELETE /v1/requests/ID` answers."""

    id: str
    tokens_emitted: int
    cancelled: bool = True
