"""The newest incidents at hand, for those who may not wait for a disk; the journal has them all."""

import sqlite3
from collections import OrderedDict
from pathlib import Path

from diagnostics.incident import Incident
from supervisor.journal.database import JournalUnusable
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import JournalSink


class RecentIncidents:
    """The incidents of this node. One thread records; any thread may read.

    Args:
        journal: Keeps them.
        path: The journal's file, read once here and again for older incidents; need not exist.
        max_in_memory: How many are at hand.
    """

    def __init__(self, journal: JournalSink, path: Path, max_in_memory: int = 200) -> None:
        self._journal = journal
        self._path = path
        self._max_in_memory = max_in_memory
        self._recent = OrderedDict((known.incident_id, known) for known in reversed(self._newest_on_disk()))

    def record(self, incident: Incident) -> bool:
        """Keep an incident, or the new version of one; True when it is new. Never blocks."""
        is_new = incident.incident_id not in self._recent
        self._recent[incident.incident_id] = incident
        while len(self._recent) > self._max_in_memory:
            self._recent.popitem(last=False)
        self._journal.write(incident)
        return is_new

    def newest_first(self) -> tuple[Incident, ...]:
        """The incidents at hand. Never blocks."""
        return tuple(self._recent.values())[::-1]

    def get(self, incident_id: str) -> Incident | None:
        """The incident with this id; blocks on the disk when it is an old one. None when unknown or unreadable."""
        known = self._recent.get(incident_id)
        if known is not None:
            return known
        try:
            with JournalReader(self._path) as reader:
                return reader.incident(incident_id)
        except (JournalUnusable, sqlite3.Error):
            return None

    def _newest_on_disk(self) -> tuple[Incident, ...]:
        try:
            with JournalReader(self._path) as reader:
                return reader.incidents(self._max_in_memory)
        except (JournalUnusable, sqlite3.Error):
            return ()
