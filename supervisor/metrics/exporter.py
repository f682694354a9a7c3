"""All figures of one daemon, in Prometheus' text format or in OpenMetrics.

The figures are counted where things happen, in machines that cost nearly nothing, and become metrics only when somebody
asks. So there is nothing global, and what a group counts outlives its generations.
"""

from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from supervisor.core.failure_statistics import FailureStatistics
from supervisor.core.task_statistics import TaskStatistics
from supervisor.metrics.families import counters
from supervisor.metrics.group_metrics import failure_metrics, group_metrics
from supervisor.metrics.process_metrics import process_metrics
from supervisor.metrics.task_metrics import task_metrics
from transports.http.gateway import Gateway
from transports.http.metrics_endpoint import Exposition
from transports.http.request_counts import RequestCounts


class MetricsExporter(Collector):
    """Implements `transports.http.metrics_endpoint.MetricsSource`. Used from the event loop.

    Args:
        gateway: Says how the group is.
        tasks: What was counted about tasks.
        failures: What was counted about failures.
    """

    def __init__(self, gateway: Gateway, tasks: TaskStatistics, failures: FailureStatistics) -> None:
        self._gateway = gateway
        self._tasks = tasks
        self._failures = failures
        self._requests = RequestCounts()
        self._process = psutil.Process()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    @property
    def requests(self) -> RequestCounts:
        """The answers, for whoever gives them to count them."""
        return self._requests

    def exposition(self, accept: str) -> Exposition:
        """Return all metrics in the newest format that an `Accept` header allows."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # It asks for a version that is no number: the library trips over that.
            encode, content_type = choose_encoder("")
        return Exposition(encode(self._registry), content_type)

    def collect(self) -> Iterator[Metric]:
        """Yield all families of metrics."""
        yield from task_metrics(self._tasks, self._gateway.figures())
        yield from group_metrics(self._gateway.cluster())
        yield from failure_metrics(self._failures)
        yield counters(
            "http_requests",
            "Answers by route and status; 499 is a client that left before its answer began.",
            ("route", "status"),
            [
                ((route, str(status)), count)
                for (route, status), count in sorted(self._requests.by_route_and_status.items())
            ],
        )
        yield from process_metrics(self._process)
