"""Which tasks have run out of time. No task is held here longer than it is open."""

from bisect import bisect_left, insort

import msgspec


class Deadline(msgspec.Struct, frozen=True):
    """When a request's time is over, in monotonic seconds, and how long that was from its beginning."""

    at: float
    allowed_s: float

    def sentence(self, done: str) -> str:
        """Tell a client that it is over; `done` says how far the request had come."""
        return (
            f"The request's time of {self.allowed_s:g} s is over; {done}. "
            "Ask for fewer tokens, or for more time with the header x-request-timeout-s."
        )


class Deadlines:
    """The machine; a task has one deadline at most."""

    def __init__(self) -> None:
        self._of: dict[str, Deadline] = {}
        self._order: list[tuple[float, str]] = []

    @property
    def next(self) -> float | None:
        """The earliest deadline, None when there is none."""
        return self._order[0][0] if self._order else None

    def add(self, task_id: str, deadline: Deadline) -> None:
        """Give a task a deadline, in place of an earlier one."""
        self.discard(task_id)
        self._of[task_id] = deadline
        insort(self._order, (deadline.at, task_id))

    def discard(self, task_id: str) -> None:
        """Forget a task; one without a deadline is ignored."""
        deadline = self._of.pop(task_id, None)
        if deadline is not None:
            del self._order[bisect_left(self._order, (deadline.at, task_id))]

    def take_due(self, now: float) -> list[tuple[str, Deadline]]:
        """Return the tasks whose deadline has come, earliest first, and forget them."""
        due: list[tuple[str, Deadline]] = []
        while self._order and self._order[0][0] <= now:
            _, task_id = self._order.pop(0)
            due.append((task_id, self._of.pop(task_id)))
        return due
