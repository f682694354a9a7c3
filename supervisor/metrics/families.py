"""The daemon's own figures as families of metrics."""

from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from supervisor.core.histogram import Histogram

PREFIX = "ringwarden_"


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    """One figure that goes up and down."""
    return GaugeMetricFamily(PREFIX + name, meaning, value=value)


def gauges(
    name: str, meaning: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    """A figure that goes up and down, by labels."""
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counter(name: str, meaning: str, value: float) -> CounterMetricFamily:
    """One figure that only grows. Its name is shown with `_total` at its end."""
    return CounterMetricFamily(PREFIX + name, meaning, value=value)


def counters(
    name: str, meaning: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> CounterMetricFamily:
    """A figure that only grows, by labels."""
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def histogram(name: str, meaning: str, figures: Histogram) -> HistogramMetricFamily:
    """A histogram as it is now."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(_bound, figures.bounds), "+Inf"), figures.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(PREFIX + name, meaning, buckets=buckets, sum_value=figures.sum)


def _bound(value: float) -> str:
    """As both formats want it: `1.0`, also for a whole number."""
    return repr(float(value))
