"""Distance and clock offset from heartbeats: right within half a round trip, whatever the line does."""

import math

from hypothesis import given
from hypothesis import strategies as st

from transports.cluster.peer_clock import PeerClock
from transports.cluster.refusals import RefusalGate

delays = st.floats(0.0001, 0.5)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=20))
def test_the_offset_is_wrong_by_at_most_half_a_round_trip(offset: float, exchanges: list[tuple[float, float, float]]):
    clock, now = PeerClock(), 1000.0
    for there, held, back in exchanges:
        sent_at = now
        now += there + held + back
        clock.heard(now - back + offset, sent_at, held, now)
        assert clock.round_trip_s is not None
        assert clock.offset_s is not None
        assert abs(clock.offset_s - offset) <= clock.round_trip_s / 2 + 1e-6
        now += 1


def test_stamps_that_make_no_sense_change_nothing():
    clock = PeerClock()
    clock.heard(5.0, None, 0.0, 10.0)
    clock.heard(5.0, 11.0, 0.0, 10.0)
    clock.heard(5.0, 9.0, 2.0, 10.0)
    clock.heard(5.0, math.nan, 0.0, 10.0)
    clock.heard(math.nan, 9.0, 0.5, 10.0)
    clock.heard(math.inf, 9.0, 0.5, 10.0)
    assert clock.round_trip_s is None
    assert clock.offset_s is None
    clock.heard(5.0, 9.0, 0.5, 10.0)
    assert clock.round_trip_s == 0.5


def test_an_echo_says_how_long_it_was_held():
    clock = PeerClock()
    assert clock.echo(1.0) == (None, 0.0)
    clock.heard(70.0, None, 0.0, 2.0)
    assert clock.echo(2.5) == (70.0, 0.5)


def test_refusals_are_told_a_few_times_a_second_and_counted():
    gate = RefusalGate(2)
    assert [gate.may_tell(10.1) for _ in range(5)] == [True, True, False, False, False]
    assert gate.untold(10.9) == 0
    assert gate.untold(11.0) == 3
    assert gate.untold(11.1) == 0
    assert gate.may_tell(11.2)
