"""Who shows a person how the start of a daemon goes, and the loop that keeps them informed."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from diagnostics.incident import Incident
from transports.http.gateway import ClusterView, GroupState

LOOK_INTERVAL_S = 0.1
_ON_THE_WAY = frozenset({GroupState.STARTING, GroupState.RESTARTING})


class StartDisplay(Protocol):
    """Shows it. Callable from any thread; must not raise."""

    def line(self, text: str) -> None:
        """Show one line, which stays."""

    def download(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """Show how far the download of a model is."""

    def group(self, view: ClusterView, incident: Incident | None, address: str) -> None:
        """Show the group as it is now; `incident` is its newest one, `address` the API's."""


class SeenGroup(Protocol):
    """What there is to look at."""

    def cluster(self) -> ClusterView: ...

    def incidents(self) -> tuple[Incident, ...]: ...


async def show_starts(
    seen: SeenGroup, changed: Callable[[], Awaitable[None]], display: StartDisplay, address: str
) -> None:
    """Tell the display of every start, until cancelled. While the group serves, this waits and costs nothing.

    Args:
        seen: The group.
        changed: Returns at the next change of its state.
        display: Who is told.
        address: Where the API is.
    """
    while True:
        view = seen.cluster()
        known = (one for one in seen.incidents() if one.incident_id == view.last_incident_id)
        display.group(view, next(known, None) if view.last_incident_id else None, address)
        if view.state in _ON_THE_WAY:
            await anyio.sleep(LOOK_INTERVAL_S)
        else:
            await changed()
