"""How the open requests are shown. Pure."""

from collections.abc import Mapping

from supervisor.open_requests import OpenRequest, OpenRequests
from transports.http.request_view import RequestState, RequestView, TaskProgress


def request_views(requests: OpenRequests, progress: Mapping[str, TaskProgress], now: float) -> tuple[RequestView, ...]:
    """Return the requests that are not over yet, oldest first.

    Args:
        requests: Those that somebody waits for.
        progress: How far each of the group's tasks has come, by id.
        now: Monotonic seconds.
    """
    line = requests.line
    waiting = {
        request: TaskProgress(RequestState.QUEUED, position=position, waiting=len(line))
        for position, request in enumerate(line, start=1)
    }
    found = ((request, waiting.get(request) or progress.get(request.task_id or "")) for request in requests)
    return tuple(_view(request, came, now) for request, came in found if came is not None)


def _view(request: OpenRequest, progress: TaskProgress, now: float) -> RequestView:
    deadline = request.deadline
    return RequestView(
        id=request.request_id,
        model=request.model,
        state=progress.state,
        age_s=round(now - request.received_at, 3),
        tokens=progress.tokens,
        position=progress.position,
        waiting=progress.waiting,
        done=progress.done,
        total=progress.total,
        remaining_s=None if deadline is None else round(max(0.0, deadline.at - now), 3),
        metadata=request.metadata,
    )
