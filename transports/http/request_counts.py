"""How many requests were answered, by route and status."""

import re
from collections import Counter

from starlette.routing import Route
from starlette.types import Scope

_PATTERN_KIND = re.compile(r":\w+}")
NO_ROUTE = "none"
CLIENT_GONE = 499


class RequestCounts:
    """Counts answers. A route is a path as it was registered, so that no client can make a new one."""

    def __init__(self) -> None:
        self.by_route_and_status: Counter[tuple[str, int]] = Counter()

    def add(self, scope: Scope, status: int) -> None:
        """Count the answer to one request; `CLIENT_GONE` when there was nobody to answer."""
        route = scope.get("route")
        path = _PATTERN_KIND.sub("}", route.path) if isinstance(route, Route) else NO_ROUTE
        self.by_route_and_status[path, status] += 1
