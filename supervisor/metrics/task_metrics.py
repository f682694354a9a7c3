"""Tasks and tokens: vLLM's names for what vLLM has, too, so that its boards fit."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from supervisor.core.task_statistics import GOOD_ENDS, TaskEnd, TaskStatistics
from supervisor.metrics.families import counter, counters, gauge, histogram
from transports.http.figures import ServiceFigures


def task_metrics(statistics: TaskStatistics, figures: ServiceFigures) -> Iterator[Metric]:
    """Yield what is known of tasks, those that wait for the group included."""
    yield gauge("num_requests_running", "Requests that are computed now.", figures.running)
    yield gauge("num_requests_waiting", "Requests that wait for the group or for a place.", figures.queued)
    yield counter("prompt_tokens", "Prompt tokens computed.", statistics.prompt_tokens_total)
    yield counter("generation_tokens", "Tokens generated.", statistics.tokens_total)
    yield counters(
        "request_success",
        "Requests that ended well.",
        ("finished_reason",),
        [((end.value,), statistics.ends[end]) for end in GOOD_ENDS],
    )
    yield counters(
        "request_failure",
        "Requests that ended otherwise: cancelled, out of time, rejected by a runner, failed with an incident.",
        ("reason",),
        [((end.value,), statistics.ends[end]) for end in TaskEnd if end not in GOOD_ENDS],
    )
    yield from _durations(statistics)
    yield histogram("request_prompt_tokens", "Prompt tokens of a request.", statistics.prompt_tokens)
    yield histogram("request_generation_tokens", "Generated tokens of a request.", statistics.completion_tokens)


def _durations(statistics: TaskStatistics) -> Iterator[Metric]:
    yield histogram("time_to_first_token_seconds", "From a request to its first token.", statistics.first_token_s)
    yield histogram("inter_token_latency_seconds", "Between two tokens of a request.", statistics.inter_token_s)
    yield histogram(
        "request_time_per_output_token_seconds",
        "The mean time between two tokens of one request.",
        statistics.mean_inter_token_s,
    )
    yield histogram("e2e_request_latency_seconds", "From a request to its end.", statistics.total_s)
    yield histogram("request_queue_time_seconds", "From a request until it has a place.", statistics.queue_s)
    yield histogram("request_prefill_time_seconds", "From there to its first token.", statistics.prefill_s)
    yield histogram("request_decode_time_seconds", "From its first token to its last.", statistics.decode_s)
