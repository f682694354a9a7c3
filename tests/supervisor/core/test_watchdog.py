"""The watchdog: silence counts only where there is work, and only against the budget of what a rank does."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.stall_budgets import StallBudgets, StallLimits
from supervisor.core.watchdog import ProgressWatchdog
from transports.progress import Activity, Progress

LIMITS = StallLimits(serving_s=10.0, starting_s=20.0, floor_s=1.0)
DECODING = Progress(1, Activity.DECODE)
AGREEING = Progress(1, Activity.AGREEING)


def stepped(word: Progress, steps: int = 1) -> Progress:
    return msgspec.structs.replace(word, step=word.step + steps)


def busy_watchdog(words: Sequence[Progress] = (DECODING, DECODING)) -> ProgressWatchdog:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin(len(words), 0.0)
    watchdog.busy(5.0, is_busy=True)
    for rank, word in enumerate(words):
        watchdog.progress(rank, word, 5.0)
    return watchdog


def test_idle_is_not_a_hang() -> None:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin(2, 0.0)
    assert watchdog.deadline is None
    assert not watchdog.is_stalled(1e9)


def test_becoming_busy_starts_the_clock() -> None:
    watchdog = busy_watchdog()
    assert watchdog.deadline == 15.0
    assert not watchdog.is_stalled(14.9)
    assert watchdog.is_stalled(15.0)


def test_a_rank_that_never_took_up_its_work_has_stalled() -> None:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin(2, 0.0)
    watchdog.busy(100.0, is_busy=True)
    watchdog.progress(0, AGREEING, 100.1)
    assert watchdog.overdue(110.0) == {1}
    assert watchdog.is_stalled(110.0)


def test_one_rank_that_moves_does_not_hide_one_that_does_not() -> None:
    watchdog = busy_watchdog()
    for second in range(6, 15):
        watchdog.progress(0, stepped(DECODING, second), float(second))
    assert watchdog.is_stalled(15.0)
    assert watchdog.overdue(15.0) == {1}


def test_the_same_word_again_is_no_progress() -> None:
    watchdog = busy_watchdog()
    watchdog.progress(0, DECODING, 14.0)
    watchdog.progress(1, DECODING, 14.0)
    assert watchdog.is_stalled(15.0)


def test_a_rank_that_waits_is_excused_while_another_moves() -> None:
    watchdog = busy_watchdog((AGREEING, DECODING))
    for second in range(6, 60):
        watchdog.progress(1, stepped(DECODING, second), float(second))
        assert not watchdog.is_stalled(float(second))
    assert watchdog.is_stalled(69.0)


def test_ranks_that_all_wait_have_stalled() -> None:
    watchdog = busy_watchdog((AGREEING, AGREEING, AGREEING))
    assert not watchdog.is_stalled(14.9)
    assert watchdog.is_stalled(15.0)


def test_a_slow_load_is_none_for_the_rank_that_has_loaded() -> None:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin_start(2, 0.0)
    watchdog.progress(0, Progress(3, Activity.AGREEING), 1.0)
    for second in range(1, 200):
        watchdog.progress(1, Progress(2, Activity.LOADING, done=second, total=200), float(second))
        assert not watchdog.is_stalled(float(second))
    assert watchdog.is_stalled(219.0)


def test_a_load_that_stands_still_is_found() -> None:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin_start(2, 0.0)
    watchdog.progress(0, Progress(3, Activity.AGREEING), 1.0)
    watchdog.progress(1, Progress(2, Activity.LOADING, done=1, total=4), 2.0)
    assert watchdog.deadline == 22.0
    assert watchdog.overdue(22.0) == {0, 1}
    assert watchdog.overdue(21.5) == {0}


def test_a_rank_that_was_last_heard_of_while_starting_is_judged_as_a_serving_one() -> None:
    watchdog = ProgressWatchdog(StallBudgets(LIMITS))
    watchdog.begin_start(1, 0.0)
    watchdog.begin(1, 1.0)
    watchdog.busy(2.0, is_busy=True)
    assert watchdog.deadline == 12.0


def test_more_work_while_busy_does_not_restart_the_clock() -> None:
    watchdog = busy_watchdog()
    watchdog.busy(14.0, is_busy=True)
    assert watchdog.is_stalled(15.0)


def test_nobody_is_watched_after_the_end() -> None:
    watchdog = busy_watchdog()
    watchdog.end()
    watchdog.progress(0, AGREEING, 6.0)
    assert watchdog.deadline is None


def test_ten_idle_minutes_between_two_requests_are_no_hang() -> None:
    budgets = StallBudgets(LIMITS)
    watchdog, now = ProgressWatchdog(budgets), 0.0
    watchdog.begin(1, now)
    watchdog.busy(now, is_busy=True)
    for step in range(30):
        now += 0.25
        watchdog.progress(0, Progress(step, Activity.DECODE), now)
    assert budgets.of(Activity.DECODE).is_learned
    watchdog.busy(now, is_busy=False)
    for second in range(600):
        assert not watchdog.is_stalled(now + second)
    watchdog.busy(now + 600.0, is_busy=True)
    assert not watchdog.is_stalled(now + 600.0)
    assert watchdog.deadline == now + 600.0 + budgets.of(Activity.DECODE).limit_s


def test_idle_time_teaches_nothing() -> None:
    budgets = StallBudgets(LIMITS)
    watchdog = ProgressWatchdog(budgets)
    watchdog.begin(1, 0.0)
    for hour in range(10):
        watchdog.progress(0, Progress(hour, Activity.IDLE), hour * 3600.0)
    assert not budgets.of(Activity.IDLE).is_learned


ACTIVITIES = [Activity.PREPARING, Activity.PREFILL, Activity.DECODE, Activity.IDLE]
MOVES = st.lists(st.tuples(st.sampled_from(ACTIVITIES), st.floats(0.0, 1.0)), max_size=60)


@given(MOVES, st.integers(1, 4))
def test_no_alarm_while_every_rank_moves_within_its_budget(moves: list[tuple[Activity, float]], ranks: int) -> None:
    budgets = StallBudgets(LIMITS)
    watchdog, now = ProgressWatchdog(budgets), 0.0
    watchdog.begin(ranks, now)
    watchdog.busy(now, is_busy=True)
    activity = Activity.IDLE
    for number, (following, share) in enumerate(moves, 1):
        now += share * 0.99 * budgets.of(activity).limit_s
        assert not watchdog.is_stalled(now)
        for rank in range(ranks):
            watchdog.progress(rank, Progress(number, following), now)
        activity = following


@given(MOVES, st.integers(1, 4), st.sampled_from([*ACTIVITIES, Activity.AGREEING]))
def test_an_alarm_within_the_budget_once_all_stand_still(
    moves: list[tuple[Activity, float]], ranks: int, last: Activity
) -> None:
    budgets = StallBudgets(LIMITS)
    watchdog, now = ProgressWatchdog(budgets), 0.0
    watchdog.begin(ranks, now)
    watchdog.busy(now, is_busy=True)
    for number, (activity, share) in enumerate(moves):
        now += share
        for rank in range(ranks):
            watchdog.progress(rank, Progress(number, activity), now)
    for rank in range(ranks):
        watchdog.progress(rank, Progress(1000, last), now)
    ends_at = now + budgets.of(last).limit_s
    assert watchdog.deadline == ends_at
    assert not watchdog.is_stalled(ends_at - 0.001)
    assert watchdog.is_stalled(ends_at)
    assert watchdog.overdue(ends_at) == set(range(ranks))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.sampled_from(list(Activity)), st.floats(0, 1e6))))
def test_never_an_alarm_while_idle(inputs: list[tuple[bool, int, Activity, float]]) -> None:
    watchdog, now = ProgressWatchdog(StallBudgets(LIMITS)), 0.0
    watchdog.begin(3, now)
    for number, (is_busy, rank, activity, elapsed) in enumerate(inputs):
        now += elapsed
        watchdog.busy(now, is_busy=is_busy)
        watchdog.progress(rank, Progress(number, activity), now)
        watchdog.busy(now, is_busy=False)
        assert watchdog.deadline is None
        assert not watchdog.is_stalled(now + 1e9)


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30), st.sampled_from(list(Activity)))))
def test_an_alarm_names_somebody_who_is_overdue(inputs: list[tuple[int, float, Activity]]) -> None:
    watchdog, now = ProgressWatchdog(StallBudgets(LIMITS)), 0.0
    watchdog.begin_start(3, now)
    for number, (rank, elapsed, activity) in enumerate(inputs):
        now += elapsed
        assert not watchdog.is_stalled(now) or watchdog.overdue(now)
        watchdog.progress(rank, Progress(number, activity), now)
