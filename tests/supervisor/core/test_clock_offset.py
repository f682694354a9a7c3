"""Clock offsets: always within the told uncertainty, sharper with better round trips, forgotten after a jump."""

import math
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.clock_offset import ClockLimits, ClockOffset, ClockSample, SampleResult

LIMITS = ClockLimits(window_samples=8, drift=500e-6)
ROUNDING_S = 1e-6


class Clocks(NamedTuple):
    """A node's clock runs `1 + skew` times as fast as the head's and showed `shown_s` at the head's zero."""

    shown_s: float
    skew: float

    def node(self, head_s: float) -> float:
        return self.shown_s + head_s * (1 + self.skew)

    def sample(self, head_s: float, there_s: float, held_s: float, back_s: float) -> ClockSample:
        received_s = head_s + there_s
        answered_s = received_s + held_s
        return ClockSample(self.node(head_s), received_s, answered_s, self.node(answered_s + back_s))


def test_nothing_is_known_at_first() -> None:
    offset = ClockOffset(LIMITS)
    assert offset.to_head(1.0) is None
    assert offset.uncertainty_s(1.0) is None


def test_an_even_round_trip_tells_the_offset() -> None:
    offset = ClockOffset(LIMITS)
    assert offset.add(Clocks(5000.0, 0.0).sample(10.0, 0.001, 0.5, 0.001)) is SampleResult.TAKEN
    assert offset.to_head(5012.0) == pytest.approx(12.0)
    assert offset.uncertainty_s(5010.0) == pytest.approx(0.001, abs=0.0004)


def test_the_best_round_trip_of_the_window_counts() -> None:
    clocks, offset = Clocks(-300.0, 0.0), ClockOffset(LIMITS)
    offset.add(clocks.sample(10.0, 0.001, 0.0, 0.001))
    offset.add(clocks.sample(11.0, 0.400, 0.0, 0.001))
    assert offset.to_head(clocks.node(11.0)) == pytest.approx(11.0, abs=1e-5)
    for second in range(12, 12 + LIMITS.window_samples):
        offset.add(clocks.sample(float(second), 0.400, 0.0, 0.001))
    assert (offset.uncertainty_s(clocks.node(20.0)) or 0.0) > 0.19, "it is too old by now"


def test_a_node_that_booted_is_measured_anew() -> None:
    before, after, offset = Clocks(90_000.0, 0.0), Clocks(-20.0, 0.0), ClockOffset(LIMITS)
    offset.add(before.sample(10.0, 0.001, 0.0, 0.001))
    assert offset.add(after.sample(40.0, 0.3, 0.0, 0.1)) is SampleResult.JUMPED
    assert offset.to_head(after.node(41.0)) == pytest.approx(41.0, abs=0.21)


def test_a_node_that_was_suspended_is_measured_anew() -> None:
    before, offset = Clocks(100.0, 0.0), ClockOffset(LIMITS)
    offset.add(before.sample(10.0, 0.001, 0.0, 0.001))
    after = Clocks(100.0 - 3600.0, 0.0)
    assert offset.add(after.sample(3611.0, 0.001, 0.0, 0.001)) is SampleResult.JUMPED
    assert offset.to_head(after.node(3612.0)) == pytest.approx(3612.0, abs=0.002)


def test_a_suspension_under_way_tells_nothing_and_forgets_the_rest() -> None:
    offset = ClockOffset(LIMITS)
    offset.add(Clocks(0.0, 0.0).sample(10.0, 0.001, 0.0, 0.001))
    # The head held the answer for an hour of its clock; the node's clock moved by a second.
    assert offset.add(ClockSample(11.0, 11.0, 3611.0, 12.0)) is SampleResult.JUMPED
    assert offset.to_head(12.0) is None


@pytest.mark.parametrize(
    "stamps",
    [
        (math.nan, 1.0, 1.0, 1.0),
        (1.0, 1.0, 1.0, math.inf),
        (2.0, 1.0, 1.0, 1.0),
        (1.0, 3.0, 2.0, 9.0),
    ],
)
def test_impossible_stamps_change_nothing(stamps: tuple[float, float, float, float]) -> None:
    offset = ClockOffset(LIMITS)
    offset.add(ClockSample(1.0, 1.0, 1.0, 1.0))
    assert offset.add(ClockSample(*stamps)) is SampleResult.IMPOSSIBLE
    assert offset.to_head(5.0) == 5.0


CLOCKS = st.builds(Clocks, st.floats(-1e6, 1e6), st.floats(-450e-6, 450e-6))
DELAYS_S = st.floats(0.0, 2.0)
HEARTBEATS = st.lists(st.tuples(st.floats(0.1, 60.0), DELAYS_S, DELAYS_S, DELAYS_S), min_size=1, max_size=40)


@settings(deadline=None)
@given(CLOCKS, HEARTBEATS, st.floats(-300.0, 300.0))
def test_the_truth_is_within_the_uncertainty_for_any_skew_and_jitter(
    clocks: Clocks, heartbeats: list[tuple[float, float, float, float]], away_s: float
) -> None:
    offset, head_s = ClockOffset(LIMITS), 1000.0
    for passed_s, *delays in heartbeats:
        head_s += passed_s + 6.0
        assert offset.add(clocks.sample(head_s, *delays)) is SampleResult.TAKEN, "skew and jitter are no jump"
        at_s = clocks.node(head_s + away_s)
        translated, uncertainty_s = offset.to_head(at_s), offset.uncertainty_s(at_s)
        assert translated is not None
        assert uncertainty_s is not None
        assert abs(translated - (head_s + away_s)) <= uncertainty_s + ROUNDING_S


@settings(deadline=None)
@given(CLOCKS, HEARTBEATS, st.floats(30.0, 1e6), st.booleans())
def test_any_jump_beyond_the_uncertainty_is_seen(
    clocks: Clocks, heartbeats: list[tuple[float, float, float, float]], jump_s: float, forward: bool
) -> None:
    offset, head_s = ClockOffset(LIMITS), 1000.0
    for passed_s, *delays in heartbeats:
        head_s += passed_s + 6.0
        offset.add(clocks.sample(head_s, *delays))
    jumped = Clocks(clocks.shown_s + (jump_s if forward else -jump_s), clocks.skew)
    assert offset.add(jumped.sample(head_s + 7.0, 0.1, 0.0, 0.1)) is SampleResult.JUMPED
    translated = offset.to_head(jumped.node(head_s + 8.0))
    assert translated is not None
    assert abs(translated - (head_s + 8.0)) < 0.2
