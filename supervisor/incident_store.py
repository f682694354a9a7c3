"""Incidents on disk: one JSON file each, written whole or not at all.

Evidence is worth most when things go wrong, so nothing here makes matters worse: a full disk costs durability, never
the daemon, and a broken file costs that file only.
"""

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from diagnostics.incident import Incident

_INCIDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_incident_id(text: str) -> bool:
    """Return whether `text` could name an incident; what cannot never becomes part of a path."""
    return _INCIDENT_ID.fullmatch(text) is not None


class IncidentStore:
    """The newest incidents, in memory and on disk. Thread-safe. All methods block on the disk.

    Args:
        folder: Where the files are; made by the first `put`.
        max_incidents: Older files than these are removed.
        max_in_memory: How many of the newest are kept at hand, and survive a disk that refuses them.
        max_file_bytes: A larger file is not read.
        observer: Told one sentence when the disk begins to refuse, and one when it takes incidents again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_incidents: int = 1000,
        max_in_memory: int = 100,
        max_file_bytes: int = 4 * 1024 * 1024,
        observer: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._folder = folder
        self._max_incidents = max_incidents
        self._max_in_memory = max_in_memory
        self._max_file_bytes = max_file_bytes
        self._observer = observer
        self._lock = threading.Lock()
        self._refusing = False
        self._unsaved: set[str] = set()
        newest = self._files()[:max_in_memory]
        self._recent = {found.incident_id: found for file in newest if (found := self._read(file)) is not None}

    def put(self, incident: Incident) -> bool:
        """Keep `incident`, replacing an earlier version of it. Never raises because of the disk.

        Returns:
            True when it, and every incident that the disk refused before, is on disk.

        Raises:
            ValueError: Its id is not one (see `is_incident_id`).
        """
        if not is_incident_id(incident.incident_id):
            raise ValueError(f"{incident.incident_id!r} is not an incident id: letters, digits, - and _, at most 64")
        with self._lock:
            self._recent[incident.incident_id] = incident
            self._unsaved.add(incident.incident_id)
            self._forget_the_oldest()
            try:
                for incident_id in sorted(self._unsaved):
                    self._write(self._recent[incident_id])
                    self._unsaved.discard(incident_id)
                self._prune()
            except OSError as problem:
                self._report(refusing=True, sentence=f"incidents are kept in memory only: {self._folder}: {problem}")
                return False
            self._report(refusing=False, sentence=f"incidents are written to {self._folder} again")
            return True

    def newest_first(self) -> tuple[Incident, ...]:
        """Return the incidents at hand, at most `max_in_memory`."""
        with self._lock:
            return tuple(sorted(self._recent.values(), key=_age, reverse=True))

    def get(self, incident_id: str) -> Incident | None:
        """Return one incident, from memory or disk; None when unknown, unreadable or not an id."""
        if not is_incident_id(incident_id):
            return None
        with self._lock:
            found = self._recent.get(incident_id)
        return found if found is not None else self._read(self._folder / f"{incident_id}.json")

    def _forget_the_oldest(self) -> None:
        while len(self._recent) > self._max_in_memory:
            oldest = min(self._recent.values(), key=_age).incident_id
            del self._recent[oldest]
            self._unsaved.discard(oldest)

    def _report(self, *, refusing: bool, sentence: str) -> None:
        if refusing != self._refusing:
            self._refusing = refusing
            self._observer(sentence)

    def _write(self, incident: Incident) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._folder / f"{incident.incident_id}.json"
        partial = target.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(msgspec.json.encode(incident))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise

    def _files(self) -> list[Path]:
        """Newest first, by the time of the file."""
        aged: list[tuple[float, Path]] = []
        with suppress(OSError):
            for file in self._folder.glob("*.json"):
                if is_incident_id(file.stem):
                    with suppress(OSError):  # removed in the meantime
                        aged.append((file.stat().st_mtime, file))
        return [file for _, file in sorted(aged, reverse=True)]

    def _prune(self) -> None:
        for file in self._files()[self._max_incidents :]:
            with suppress(OSError):
                file.unlink()

    def _read(self, file: Path) -> Incident | None:
        try:
            with file.open("rb") as opened:
                content = opened.read(self._max_file_bytes + 1)
            incident = msgspec.json.decode(content, type=Incident)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return incident if incident.incident_id == file.stem else None


def _age(incident: Incident) -> tuple[float, str]:
    return (incident.occurred_at, incident.incident_id)
