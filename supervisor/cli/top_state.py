"""What `top` shows at one moment, and how it follows from what the daemon tells. Pure."""

import msgspec

from diagnostics.incident import Incident
from transports import live
from transports.http.gateway import ClusterView
from transports.http.request_view import RequestView

MAX_INCIDENTS = 10


class TopState(msgspec.Struct, frozen=True):
    """One daemon as `top` shows it, and as `top --json` prints it. `at` is Unix time.

    Incidents are the newest, newest first; requests the oldest of all `open_requests`, oldest first.
    """

    url: str
    at: float
    cluster: ClusterView
    incidents: tuple[Incident, ...]
    requests: tuple[RequestView, ...] = ()
    open_requests: int = 0


class TopView(msgspec.Struct, frozen=True):
    """What is drawn: the last state that is known, and whether it is true still.

    `lost` says why there is no connection, `lost_at` since when; both None while there is one.
    """

    state: TopState | None = None
    lost: str | None = None
    lost_at: float | None = None
    back_at: float | None = None

    def connected(self, url: str, incidents: tuple[Incident, ...], now: float) -> "TopView":
        """The daemon answers, for the first time or again; this is what it knows of failures."""
        state = self.state
        if state is not None:
            state = msgspec.structs.replace(state, url=url, incidents=incidents[:MAX_INCIDENTS])
        return TopView(state, back_at=None if self.lost_at is None else now)

    def disconnected(self, reason: str, now: float) -> "TopView":
        """The daemon went away; the last state stays, marked as old."""
        return TopView(self.state, lost=reason, lost_at=now if self.lost_at is None else self.lost_at)

    def seen(self, url: str, event: live.LiveEvent, incidents: tuple[Incident, ...]) -> "TopView":
        """The daemon told something; `incidents` are those that were known when it was connected."""
        if isinstance(event, live.Snapshot):
            known = incidents[:MAX_INCIDENTS] if self.state is None else self.state.incidents
            return msgspec.structs.replace(
                self, state=TopState(url, event.at, event.cluster, known, event.requests, event.open_requests)
            )
        if isinstance(event, live.IncidentSeen) and self.state is not None:
            told = event.incident
            others = tuple(one for one in self.state.incidents if one.incident_id != told.incident_id)
            newest = sorted((told, *others), key=_occurred_at, reverse=True)[:MAX_INCIDENTS]
            return msgspec.structs.replace(self, state=msgspec.structs.replace(self.state, incidents=tuple(newest)))
        return self


def _occurred_at(incident: Incident) -> float:
    return incident.occurred_at
