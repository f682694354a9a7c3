"""Budgets: cautious until enough was seen, then ten times the longest silence, between the floor and the cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.stall_budgets import Budget, StallBudgets, StallLimits
from transports.progress import Activity

LIMITS = StallLimits(serving_s=100.0, starting_s=200.0, floor_s=2.0)


def taught(activity: Activity, *silences_s: float, limits: StallLimits = LIMITS) -> Budget:
    budgets = StallBudgets(limits)
    for silence_s in silences_s:
        budgets.learn(activity, silence_s)
    return budgets.of(activity)


@pytest.mark.parametrize(
    ("activity", "cap_s"),
    [(activity, 200.0) for activity in (Activity.CONNECTING, Activity.LOADING, Activity.WARMING_UP)]
    + [(activity, 100.0) for activity in (Activity.PREPARING, Activity.PREFILL, Activity.DECODE, Activity.IDLE)],
)
def test_what_was_never_seen_gets_the_cap(activity: Activity, cap_s: float) -> None:
    assert taught(activity) == Budget(cap_s, is_learned=False)


def test_a_few_silences_are_not_enough() -> None:
    assert taught(Activity.DECODE, *[0.3] * 19) == Budget(100.0, is_learned=False)
    assert taught(Activity.DECODE, *[0.3] * 20) == Budget(3.0, is_learned=True)


def test_the_floor_holds_where_steps_are_short_and_the_cap_where_they_are_long() -> None:
    assert taught(Activity.DECODE, *[0.01] * 50).limit_s == 2.0
    assert taught(Activity.PREFILL, *[0.01] * 50).limit_s == 8.0
    assert taught(Activity.PREFILL, 20.0, *[0.01] * 50).limit_s == 100.0


def test_connecting_is_never_learned() -> None:
    assert taught(Activity.CONNECTING, *[0.1] * 100) == Budget(200.0, is_learned=False)


def test_an_agreement_takes_no_longer_than_a_step() -> None:
    budgets = StallBudgets(LIMITS)
    for _ in range(20):
        budgets.learn(Activity.DECODE, 0.5)
        budgets.learn(Activity.AGREEING, 60.0)
    assert budgets.of(Activity.AGREEING) == Budget(5.0, is_learned=True)


def test_a_floor_above_the_cap_is_the_cap() -> None:
    assert taught(Activity.DECODE, *[0.1] * 20, limits=StallLimits(serving_s=2.0, floor_s=15.0)).limit_s == 2.0


@given(st.sampled_from(list(Activity)), st.lists(st.floats(0, 1e4), max_size=60))
def test_a_budget_stays_between_the_longest_honest_silence_and_the_cap(
    activity: Activity, silences_s: list[float]
) -> None:
    cap_s = max(LIMITS.serving_s, LIMITS.starting_s)
    budget = taught(activity, *silences_s)
    assert budget.limit_s <= cap_s
    if budget.is_learned and activity is not Activity.AGREEING:
        assert budget.limit_s >= min(max(silences_s), LIMITS.serving_s)
