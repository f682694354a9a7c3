"""The daemon's own process, under the names that every Prometheus client uses; on macOS as on Linux."""

import sys
from collections.abc import Iterator

import psutil
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from supervisor.metrics.families import gauges
from supervisor.version import version


def process_metrics(process: psutil.Process) -> Iterator[Metric]:
    """Yield what the system says of this process, and what it is."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield gauges(
        "build_info",
        "Always 1; the labels say what runs.",
        ("version", "python", "platform"),
        [((version(), python, sys.platform), 1.0)],
    )
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of the daemon.", value=times.user + times.system)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of the daemon.", value=memory.rss)
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory of the daemon.", value=memory.vms)
        yield GaugeMetricFamily("process_open_fds", "Files that the daemon has open.", value=process.num_fds())
        yield GaugeMetricFamily(
            "process_start_time_seconds", "When the daemon started, since the epoch.", value=process.create_time()
        )
