"""Which tasks wait for a place among those that are computed together, and as which number in the line.

The theory. Runners compute `places` tasks at once and take the others in the order in which they accepted them; they do
not say whom they took. The first sign of work (prompt progress or a token) is proof of a place. Until then an accepted
task stands in line; as many as there are free places are about to begin, and the others have positions, from 1.

Each task that comes to the end of the line hears its position at once. What moves the line moves everybody behind, so
that changes are told in rounds: the longer the line, the rarer, never more than `max_events_per_s` in the long run.
"""

from transports.messages import PrefillProgress, TaskAccepted, TaskQueued, TokenChunk

QueueEvent = TaskAccepted | PrefillProgress | TokenChunk


class TaskQueue:
    """The machine. Monotonic `now` in seconds. Tasks that it was never told of, or that have ended, are ignored.

    Args:
        places: How many tasks are computed together.
        max_events_per_s: Most changes of position that are told, all tasks together, beside those at acceptance.
    """

    def __init__(self, places: int, *, max_events_per_s: float = 200.0) -> None:
        self._places = places
        self._max_events_per_s = max_events_per_s
        self._open: set[str] = set()
        self._computing: set[str] = set()
        # The line, first to last, with the position that each task was told; None while it was told none.
        self._line: dict[str, int | None] = {}
        self._moved = False
        self._next_round_at = 0.0

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to tell; None while nobody's position has changed."""
        return self._next_round_at if self._moved and self._line else None

    def opened(self, task_id: str) -> None:
        """A task was given to the runners."""
        self._open.add(task_id)

    def observe(self, event: QueueEvent) -> TaskQueued | None:
        """Take a runner's event; return what its task is to be told, if it has to wait."""
        task_id = event.task_id
        if task_id not in self._open:
            return None
        if not isinstance(event, TaskAccepted):
            self._begin(task_id)
            return None
        if task_id in self._line or task_id in self._computing:
            return None
        self._line[task_id] = None
        position = len(self._line) - self._free
        if position < 1:
            return None
        self._line[task_id] = position
        return TaskQueued(task_id, position, position)

    def ended(self, task_id: str) -> None:
        """A task needs no place any more."""
        self._open.discard(task_id)
        waited = task_id in self._line
        self._line.pop(task_id, None)
        if waited or task_id in self._computing:
            self._computing.discard(task_id)
            self._moved = True

    def tick(self, now: float) -> list[TaskQueued]:
        """Return the positions that have changed since they were told, if it is time for a round."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        self._moved = False
        self._next_round_at = now + len(self._line) / self._max_events_per_s
        told: list[TaskQueued] = []
        for task_id, position in self.positions().items():
            if self._line[task_id] != position:
                self._line[task_id] = position
                told.append(TaskQueued(task_id, position, self.waiting))
        return told

    @property
    def waiting(self) -> int:
        """How many tasks have a position."""
        return max(0, len(self._line) - self._free)

    def positions(self) -> dict[str, int]:
        """The tasks that wait, first to last, with their positions now."""
        free = self._free
        numbered = enumerate(self._line, start=1 - free)
        return {task_id: position for position, task_id in numbered if position > 0}

    @property
    def _free(self) -> int:
        return max(0, self._places - len(self._computing))

    def _begin(self, task_id: str) -> None:
        self._computing.add(task_id)
        if task_id in self._line:
            del self._line[task_id]
            self._moved = True
