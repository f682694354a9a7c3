"""What tasks cost, by a made-up clock."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.histogram import Histogram, NewestSamples, SlidingRate
from supervisor.core.task_statistics import GOOD_ENDS, TaskEnd, TaskStatistics
from tests.transports.http.scripted_gateway import INCIDENT
from transports.answers import FinishReason
from transports.messages import (
    ErrorChunk,
    PrefillProgress,
    RejectionCode,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TokenChunk,
)


def test_a_task_waits_prefills_and_decodes():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 10.0)
    assert statistics.figures(10.0).queued == 1
    statistics.observe(TaskAccepted("a", 600), 10.5)
    statistics.observe(PrefillProgress("a", 512, 600), 11.0)
    assert (statistics.figures(11.0).running, statistics.figures(11.0).prompt_tokens_total) == (1, 512)
    for index, at in enumerate((12.0, 12.1, 12.3)):
        statistics.observe(TokenChunk("a", index, 7, "x"), at)
    times = statistics.ended(TaskFinished("a", "stop", 600, 3), 12.4)
    assert times is not None
    assert (times.end, times.computing_at_s, times.first_token_at_s, times.ended_at_s) == ("stop", 10.5, 12.0, 12.4)
    assert (times.prompt_tokens, times.completion_tokens) == (600, 3)
    figures = statistics.figures(13.0)
    assert (figures.running, figures.queued, figures.finished) == (0, 0, 1)
    assert (figures.tokens_total, figures.prompt_tokens_total) == (3, 600)
    assert figures.tokens_per_s == pytest.approx(0.3)
    assert figures.prompt_tokens_per_s == pytest.approx(60)
    assert figures.time_to_first_token_s is not None
    assert figures.time_to_first_token_s.p99 == pytest.approx(2.0)
    assert figures.inter_token_latency_s is not None
    assert figures.inter_token_latency_s.p50 == pytest.approx(0.1)
    assert figures.inter_token_latency_s.p95 == pytest.approx(0.2)
    assert statistics.queue_s.sum == pytest.approx(0.5)
    assert statistics.prefill_s.sum == pytest.approx(1.5)
    assert statistics.decode_s.sum == pytest.approx(0.3)
    assert statistics.total_s.sum == pytest.approx(2.4)
    assert statistics.mean_inter_token_s.sum == pytest.approx(0.15)
    assert statistics.figures(30.0).tokens_per_s == 0


def test_who_only_asked_for_a_count_is_no_finished_task():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 1.0)
    statistics.observe(TaskAccepted("a", 600), 1.5)
    assert statistics.ended(TaskFinished("a", "length", 600, 0), 1.5) is None
    figures = statistics.figures(2.0)
    assert (figures.running, figures.queued, figures.finished, figures.prompt_tokens_total) == (0, 0, 0, 0)
    statistics.opened("b", 2.0)
    statistics.observe(TaskAccepted("b", 6), 2.0)
    assert statistics.ended(TaskFinished("b", "tool_calls", 6, 9), 3.0) is not None
    assert statistics.figures(3.0).finished == 1


def test_who_waits_for_the_group_waits():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 10.0)
    statistics.waited_since("a", 4.0)
    statistics.observe(TaskAccepted("a", 1), 10.5)
    statistics.observe(TokenChunk("a", 0, 7, "x"), 11.0)
    assert statistics.first_token_s.sum == pytest.approx(7.0)
    statistics.ended(TaskFinished("a", "stop", 1, 1), 12.0)
    assert statistics.queue_s.sum == pytest.approx(6.5)
    assert statistics.total_s.sum == pytest.approx(8.0)


def test_durations_are_of_requests_that_ended_well():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    for name, end in (
        ("a", ErrorChunk("a", INCIDENT, 1)),
        ("b", TaskFinished("b", "cancelled", 4, 1)),
        ("c", TaskFinished("c", "length", 4, 0)),
    ):
        statistics.opened(name, 1.0)
        statistics.observe(TaskAccepted(name, 4), 2.0)
        statistics.ended(end, 3.0)
    durations = (statistics.queue_s, statistics.prefill_s, statistics.decode_s, statistics.total_s)
    assert [sum(one.counts) for one in durations] == [0, 0, 0, 0]


def test_no_total_falls_whatever_a_runner_says():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 0.0)
    statistics.observe(TaskAccepted("a", -5), 0.0)
    statistics.observe(PrefillProgress("a", -9, -9), 0.5)
    statistics.observe(PrefillProgress("a", 9, 9), 0.5)
    statistics.ended(TaskFinished("a", "stop", -5, 0), 1.0)
    assert (statistics.prompt_tokens_total, statistics.prompt_tokens.sum) == (0, 0)


def test_a_place_goes_to_who_waits_longest():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    for at, name in enumerate("abc"):
        statistics.opened(name, at)
        statistics.observe(TaskAccepted(name, 4), at)
    assert (statistics.figures(3.0).running, statistics.figures(3.0).queued) == (1, 2)
    statistics.ended(TaskFinished("b", "cancelled", 4, 0), 4.0)
    statistics.ended(TaskFinished("a", "stop", 4, 0), 5.0)
    assert (statistics.figures(6.0).running, statistics.figures(6.0).queued) == (1, 0)
    times = statistics.ended(ErrorChunk("c", INCIDENT, 0), 7.0)
    assert times is not None
    assert (times.computing_at_s, times.end) == (5.0, TaskEnd.FAILED)
    figures = statistics.figures(8.0)
    assert (figures.finished, figures.cancelled, figures.failed, figures.rejected) == (1, 1, 1, 0)


def test_news_of_its_own_work_proves_a_place():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    for name in "ab":
        statistics.opened(name, 0.0)
        statistics.observe(TaskAccepted(name, 4), 0.0)
    statistics.observe(TokenChunk("b", 0, 7, "x"), 1.0)
    assert statistics.figures(1.0).running == 2


def test_what_is_not_open_counts_nothing():
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 0.0)
    statistics.withdrawn("a", 0.5)
    statistics.observe(TokenChunk("a", 0, 7, "x"), 1.0)
    assert statistics.ended(TaskRejected("a", RejectionCode.TASK_FAILED, "no"), 1.0) is None
    figures = statistics.figures(1.0)
    assert (figures.tokens_total, figures.rejected, figures.queued) == (0, 0, 0)
    assert figures.time_to_first_token_s is None


@given(st.lists(st.floats(0, 200)))
def test_a_histogram_loses_no_sample(samples: list[float]):
    histogram = Histogram((1.0, 10.0, 100.0))
    for sample in samples:
        histogram.add(sample)
    assert sum(histogram.counts) == len(samples)
    assert sum(histogram.counts[:2]) == sum(sample <= 10.0 for sample in samples)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_samples_in_order(samples: list[float]):
    newest = NewestSamples(100)
    for sample in samples:
        newest.add(sample)
    percentiles = newest.percentiles()
    assert percentiles is not None
    kept = sorted(samples[-100:])
    assert percentiles.samples == len(kept)
    assert kept[0] <= percentiles.p50 <= percentiles.p95 <= percentiles.p99 <= kept[-1]
    assert sum(one <= percentiles.p50 for one in kept) >= len(kept) / 2


@given(st.lists(st.floats(0, 60), max_size=200).map(sorted))
def test_a_rate_is_over_its_window_and_its_memory_bounded(moments: list[float]):
    rate = SlidingRate(10.0)
    for moment in moments:
        rate.add(1, moment)
    now = moments[-1] if moments else 0.0
    least = sum(moment > now - 9.8 for moment in moments)
    most = sum(moment > now - 10.2 for moment in moments)
    assert least <= round(rate.per_s(now) * 10.0) <= most
    assert rate.per_s(now + 11.0) == 0


@pytest.mark.parametrize("reason", get_args(FinishReason))
def test_every_finish_reason_is_an_end(reason: FinishReason) -> None:
    statistics = TaskStatistics(max_concurrent_tasks=1)
    statistics.opened("a", 0.0)
    times = statistics.ended(TaskFinished("a", reason, 4, 1), 1.0)
    assert times is not None
    assert times.end.value == reason
    assert (times.end in GOOD_ENDS) is (reason != "cancelled")


_STEPS = st.lists(st.tuples(st.sampled_from("oaptfrcw"), st.sampled_from("wxyz")), max_size=120)


@given(_STEPS, st.integers(1, 3))
def test_whatever_comes_the_figures_agree(steps: list[tuple[str, str]], places: int):
    statistics = TaskStatistics(places)
    is_open: set[str] = set()
    ends = 0
    for now, (step, name) in enumerate(steps):
        match step:
            case "o" if name not in is_open:
                statistics.opened(name, now)
                is_open.add(name)
            case "a":
                statistics.observe(TaskAccepted(name, 7), now)
            case "p":
                statistics.observe(PrefillProgress(name, 3, 7), now)
            case "t":
                statistics.observe(TokenChunk(name, 0, 1, ""), now)
            case "w":
                statistics.withdrawn(name, now)
                is_open.discard(name)
            case "f" | "r" | "c":
                event = {
                    "f": TaskFinished(name, "stop", 7, 1),
                    "r": TaskRejected(name, RejectionCode.TASK_FAILED, "no"),
                    "c": ErrorChunk(name, INCIDENT, 0),
                }[step]
                times = statistics.ended(event, now)
                assert (times is not None) == (name in is_open)
                ends += times is not None
                is_open.discard(name)
            case _:
                pass
        figures = statistics.figures(now)
        assert figures.running + figures.queued == len(is_open)
        assert figures.running >= 0
        assert figures.queued >= 0
        assert figures.finished + figures.failed + figures.rejected == ends
