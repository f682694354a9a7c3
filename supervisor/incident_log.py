"""Incidents in memory at once, on disk soon after: nobody who waits for an error waits for a disk."""

from collections import OrderedDict

import anyio
import anyio.to_thread

from diagnostics.incident import Incident
from supervisor.incident_store import IncidentStore


class IncidentLog:
    """The incidents of this node. Used from the event loop; `write_forever` does the disk's part in a thread.

    Args:
        store: Where they are kept; its newest are read once, here.
        max_in_memory: How many are held; older ones are on disk only.
    """

    def __init__(self, store: IncidentStore, max_in_memory: int = 200) -> None:
        self._store = store
        self._max_in_memory = max_in_memory
        self._recent: OrderedDict[str, Incident] = OrderedDict()
        for incident in reversed(store.newest_first()[:max_in_memory]):
            self._recent[incident.incident_id] = incident
        self._unwritten: OrderedDict[str, Incident] = OrderedDict()
        self._has_unwritten = anyio.Event()

    def record(self, incident: Incident) -> bool:
        """Keep an incident, or the new version of one; True when it is new. Never blocks."""
        is_new = incident.incident_id not in self._recent
        self._recent[incident.incident_id] = incident
        while len(self._recent) > self._max_in_memory:
            self._recent.popitem(last=False)
        self._unwritten[incident.incident_id] = incident
        self._has_unwritten.set()
        return is_new

    def newest_first(self) -> tuple[Incident, ...]:
        """The incidents in memory."""
        return tuple(reversed(self._recent.values()))

    def get(self, incident_id: str) -> Incident | None:
        """The incident with this id, from memory or disk."""
        return self._recent.get(incident_id) or self._store.get(incident_id)

    async def write_forever(self) -> None:
        """Write what was recorded, in order, until cancelled; then write the rest before leaving."""
        try:
            while True:
                await self._has_unwritten.wait()
                self._has_unwritten = anyio.Event()
                await self._write_all()
        finally:
            with anyio.CancelScope(shield=True):
                await self._write_all()

    async def _write_all(self) -> None:
        while self._unwritten:
            _, incident = self._unwritten.popitem(last=False)
            await anyio.to_thread.run_sync(self._store.put, incident)
