"""The group and its failures: what nobody else exports."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from diagnostics.cause import Cause
from diagnostics.phase import Phase
from supervisor.core.failure_statistics import FailureStatistics
from supervisor.metrics.families import counter, counters, gauge, gauges, histogram
from transports.http.gateway import ClusterView, GroupState


def group_metrics(cluster: ClusterView) -> Iterator[Metric]:
    """Yield how the group is now."""
    yield gauges(
        "group_state",
        "1 for the state that the group is in.",
        ("state",),
        [((state.value,), float(state is cluster.state)) for state in GroupState],
    )
    yield gauge("group_generation", "The number of the group's newest start.", cluster.generation)
    yield gauges(
        "runner_phase",
        "1 for the phase that a rank is in.",
        ("rank", "phase"),
        [((str(view.rank), phase.value), float(phase is view.state)) for view in cluster.ranks for phase in Phase],
    )
    yield gauges(
        "runner_memory_bytes",
        "The footprint of a rank on the head's own machine.",
        ("rank",),
        [((str(view.rank),), view.footprint_bytes) for view in cluster.ranks if view.footprint_bytes is not None],
    )
    yield gauges(
        "heartbeat_age_seconds",
        "Since a node was last heard of; the head's own machine needs no heartbeat.",
        ("node",),
        [((node.node,), node.heard_s_ago) for node in cluster.nodes if node.heard_s_ago is not None],
    )


def failure_metrics(failures: FailureStatistics) -> Iterator[Metric]:
    """Yield what was counted about failures."""
    yield counters(
        "runner_exits",
        "Runners that died in a group that was not being stopped, those included that fell with another one.",
        ("cause", "signal"),
        [((cause.value, signal), count) for (cause, signal), count in sorted(failures.runner_exits.items())],
    )
    yield counter("runner_restarts", "Runners that were started again.", failures.runner_restarts)
    yield counters(
        "incidents",
        "Failures of the group, by the cause that the verdict names.",
        ("cause",),
        # All of them from the start: Prometheus sees no increase in a series that begins with 1.
        [((cause.value,), failures.incidents[cause]) for cause in Cause],
    )
    yield counters(
        "stalled",
        "Ranks that stood still for too long.",
        ("phase",),
        [((phase.value,), failures.stalled[phase]) for phase in Phase],
    )
    yield histogram(
        "failure_detect_seconds", "From a runner's exit to the verdict that clients read.", failures.detect_s
    )
    yield histogram("recovery_seconds", "From a runner's failure to a group that serves again.", failures.recovery_s)
