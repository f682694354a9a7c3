"""The restart policy: growing delays, reset by a stable run; an intensity per period; permanent causes given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from supervisor.core.restart import PERMANENT_CAUSES, GiveUp, RestartAfter, RestartLimits, RestartPolicy

LIMITS = RestartLimits(first_delay_s=0.5, factor=2.0, cap_s=4.0, intensity=5, period_s=300.0, stable_after_s=60.0)
KILLED = Cause.KILLED_NO_STDERR


def test_delays_grow_to_the_cap_and_then_it_is_given_up() -> None:
    policy = RestartPolicy(LIMITS)
    decisions = [policy.failed(float(second), KILLED) for second in range(6)]
    assert decisions[:5] == [RestartAfter(delay) for delay in (0.5, 1.0, 2.0, 4.0, 4.0)]
    assert decisions[5] == GiveUp("it failed 6 times within 300 s")


def test_a_stable_run_resets_the_delay() -> None:
    policy = RestartPolicy(LIMITS)
    policy.failed(0.0, KILLED)
    policy.failed(1.0, KILLED)
    policy.ready(2.0)
    assert policy.failed(62.0, KILLED) == RestartAfter(0.5)


def test_a_short_run_does_not() -> None:
    policy = RestartPolicy(LIMITS)
    policy.failed(0.0, KILLED)
    policy.ready(2.0)
    assert policy.failed(61.9, KILLED) == RestartAfter(1.0)


def test_old_failures_leave_the_window() -> None:
    policy = RestartPolicy(LIMITS)
    for second in range(0, 3000, 61):
        assert isinstance(policy.failed(float(second), KILLED), RestartAfter)


@pytest.mark.parametrize("cause", sorted(PERMANENT_CAUSES))
def test_a_permanent_cause_before_the_first_ready_is_given_up_at_once(cause: Cause) -> None:
    assert isinstance(RestartPolicy(LIMITS).failed(0.0, cause), GiveUp)


def test_the_same_cause_after_ready_is_worth_a_restart() -> None:
    policy = RestartPolicy(LIMITS)
    policy.ready(0.0)
    assert policy.failed(1.0, Cause.MODEL_LOAD_CORRUPT) == RestartAfter(0.5)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=60))
def test_never_more_restarts_than_the_intensity_in_any_period(history: list[tuple[bool, float]]) -> None:
    policy, now, granted = RestartPolicy(LIMITS), 0.0, [float("-inf")]
    for is_ready, elapsed in history:
        now += elapsed
        if is_ready:
            policy.ready(now)
            continue
        decision = policy.failed(now, KILLED)
        if isinstance(decision, GiveUp):
            break
        assert LIMITS.first_delay_s <= decision.delay_s <= LIMITS.cap_s
        granted.append(now)
        assert sum(at > now - LIMITS.period_s for at in granted) <= LIMITS.intensity
