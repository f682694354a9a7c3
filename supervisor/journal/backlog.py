"""Records on their way to the disk, in bounded memory: what matters most is given up last."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from diagnostics.incident import Incident
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, Record, TaskRecord
from supervisor.journal.rows import weight_bytes

_BY_IMPORTANCE: Final = (Incident, GenerationRecord, EventRecord, TaskRecord, CapturedLog)


class Backlog:
    """A queue with one lane for each kind. Order is kept within a kind. Not thread-safe; never blocks.

    Args:
        max_records: Records held at most.
        max_bytes: What they may weigh, together.
    """

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._lanes: dict[type[Record], deque[tuple[Record, int]]] = {kind: deque() for kind in _BY_IMPORTANCE}
        self._records = 0
        self._bytes = 0
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._records

    def put(self, record: Record) -> None:
        """Add a record; when there is no room, the oldest of the least important kind is dropped and counted."""
        self._add(record, in_front=False)

    def put_back(self, records: Sequence[Record]) -> None:
        """Return what `take` gave, as far as there is room: what came meanwhile is newer and stays behind it."""
        for record in reversed(records):
            self._add(record, in_front=True)

    def take(self, max_records: int) -> list[Record]:
        """Remove and return the most important records, in order within each kind."""
        taken: list[Record] = []
        for lane in self._lanes.values():
            while lane and len(taken) < max_records:
                taken.append(self._pop(lane))
        return taken

    def _add(self, record: Record, *, in_front: bool) -> None:
        weight = weight_bytes(record)
        # What is put back is the oldest of its kind, and must not push out the next oldest.
        if not self._make_room(_BY_IMPORTANCE.index(type(record)) + in_front, weight):
            self.dropped[type(record).__name__] += 1
            return
        lane = self._lanes[type(record)]
        if in_front:
            lane.appendleft((record, weight))
        else:
            lane.append((record, weight))
        self._records += 1
        self._bytes += weight

    def _make_room(self, least_importance: int, weight: int) -> bool:
        """Drop kinds from `least_importance` on, the least important first; False when that is not enough."""
        if weight > self._max_bytes:
            return False
        while self._records >= self._max_records or self._bytes + weight > self._max_bytes:
            victim = self._least_important()
            if victim is None or _BY_IMPORTANCE.index(victim) < least_importance:
                return False
            self._pop(self._lanes[victim])
            self.dropped[victim.__name__] += 1
        return True

    def _least_important(self) -> type[Record] | None:
        return next((kind for kind in reversed(_BY_IMPORTANCE) if self._lanes[kind]), None)

    def _pop(self, lane: deque[tuple[Record, int]]) -> Record:
        record, weight = lane.popleft()
        self._records -= 1
        self._bytes -= weight
        return record
