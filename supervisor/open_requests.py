"""The requests that are open: those that wait for the group, in their order, and those that are its tasks."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

import anyio

from supervisor.core.deadlines import Deadline

Moved = Callable[[], Awaitable[None]]


class OpenRequest:
    """One request. `task_id` is None while it waits for the group; `cancelled` once somebody has cancelled it then.

    Args:
        request_id: Unique among the open ones.
        model: What it asks for.
        metadata: The client's tags.
        timeout_s: How long it may take in all; None means as long as it needs.
    """

    def __init__(self, request_id: str, model: str, metadata: Mapping[str, str], timeout_s: float | None) -> None:
        self.request_id = request_id
        self.model = model
        self.metadata = dict(metadata)
        self.received_at = time.monotonic()
        self.deadline = None if timeout_s is None else Deadline(self.received_at + timeout_s, timeout_s)
        self.task_id: str | None = None
        self.cancelled = False
        self.first_in_line = anyio.Event()
        self.waiting = anyio.CancelScope()

    def cancel_waiting(self) -> None:
        """End its wait for the group."""
        self.cancelled = True
        self.waiting.cancel()


class OpenRequests:
    """Used from the event loop only; nothing blocks but `wait`.

    Args:
        is_taken: Whether an id is still that of a task in flight.
    """

    def __init__(self, is_taken: Callable[[str], bool]) -> None:
        self._is_taken = is_taken
        self._open: dict[str, OpenRequest] = {}
        self._line: dict[OpenRequest, None] = {}

    def __iter__(self) -> Iterator[OpenRequest]:
        return iter(self._open.values())

    @property
    def line(self) -> tuple[OpenRequest, ...]:
        """Those that wait for the group, first to last."""
        return tuple(self._line)

    @property
    def waiting(self) -> int:
        """How many wait for the group."""
        return len(self._line)

    def get(self, request_id: str) -> OpenRequest | None:
        """The open request of this id."""
        return self._open.get(request_id)

    def open(self, wanted_id: str, model: str, metadata: Mapping[str, str], timeout_s: float | None) -> OpenRequest:
        """Open a request under its wanted id, made unique: clients may send the same one twice at once."""
        request_id, attempt = wanted_id, 2
        while request_id in self._open or self._is_taken(request_id):
            request_id, attempt = f"{wanted_id}.{attempt}", attempt + 1
        request = self._open[request_id] = OpenRequest(request_id, model, metadata, timeout_s)
        return request

    def close(self, request: OpenRequest) -> None:
        """Nobody waits for its answer any more."""
        del self._open[request.request_id]

    async def wait(self, request: OpenRequest, wait_s: float, goes_on: Callable[[], bool], moved: Moved) -> None:
        """Wait in line until it is this request's turn and the group is ready.

        Returns as well when the time is over, or when the request was cancelled.

        Args:
            request: Who waits.
            wait_s: For how long at most.
            goes_on: Whether the group is not ready yet. What it raises ends the wait.
            moved: Returns when `goes_on` may have changed.
        """
        self._line[request] = None
        try:
            with request.waiting as scope:
                scope.deadline = anyio.current_time() + wait_s
                if next(iter(self._line)) is not request:
                    await request.first_in_line.wait()
                while goes_on():
                    await moved()
        finally:
            del self._line[request]
            for following in self._line:
                following.first_in_line.set()
                break
