"""`/metrics`, for Prometheus and for what reads its formats."""

from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response

from transports.http.request_counts import RequestCounts

_MAX_ACCEPT_CHARACTERS = 1_000


class Exposition(NamedTuple):
    """All metrics as text, and the `content-type` of its format."""

    body: bytes
    content_type: str


class MetricsSource(Protocol):
    """Where the figures are. Called from the event loop; a scrape costs a few milliseconds."""

    @property
    def requests(self) -> RequestCounts:
        """The answers, for whoever gives them to count them."""
        ...

    def exposition(self, accept: str) -> Exposition:
        """Return all metrics in the newest format that an `Accept` header allows."""
        ...


class MetricsEndpoint:
    """The handler.

    Args:
        source: The figures.
    """

    def __init__(self, source: MetricsSource) -> None:
        self._source = source

    async def metrics(self, request: Request) -> Response:
        """Show all metrics."""
        exposition = self._source.exposition(request.headers.get("accept", "")[:_MAX_ACCEPT_CHARACTERS])
        return Response(exposition.body, headers={"content-type": exposition.content_type})
