"""The outage: one start, rounds of growing delays, one throttle, a budget, and a last word without a traceback."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cluster.outage_state import OutageState
from supervisor.core.outage import Outage, OutageLimits, one_line

REFUSED = ConnectionRefusedError(111, "Connection refused")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> OutageState:
    return OutageState(clock=clock)


def test_without_an_outage_there_is_nothing_to_say_or_to_wait_for(state: OutageState, clock: Clock) -> None:
    clock.now += 1e6
    assert (state.elapsed(), state.next_delay_s(), state.should_shutdown()) == (0.0, 0.0, False)
    assert not state.should_log(0.0)
    assert state.record_success() is None


def test_repeated_failures_do_not_move_the_start(state: OutageState, clock: Clock) -> None:
    for _ in range(6):
        state.record_failure(REFUSED)
        clock.now += 5.0
    assert state.elapsed() == 30.0
    assert state.progress_line() == "Head unreachable — retrying (30s/120s elapsed)"


def test_delays_of_one_loop_are_2_4_8_10_and_stay_there(state: OutageState, clock: Clock) -> None:
    delays = [wait_once(state, clock) for _ in range(7)]
    assert delays == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]


def test_attempts_that_take_long_skip_no_delay(state: OutageState, clock: Clock) -> None:
    delays: list[float] = []
    for _ in range(5):
        clock.now += 7.0
        delays.append(wait_once(state, clock))
    assert delays == [2.0, 4.0, 8.0, 10.0, 10.0]


def wait_once(state: OutageState, clock: Clock) -> float:
    state.record_failure(REFUSED)
    delay_s = state.next_delay_s()
    clock.now += delay_s
    return delay_s


def test_loops_that_fail_together_share_a_round(state: OutageState, clock: Clock) -> None:
    for expected in (2.0, 4.0, 8.0, 10.0, 10.0):
        for _ in range(20):
            state.record_failure(REFUSED)
            assert state.next_delay_s() == expected
        clock.now += expected


def test_the_budget_ends_at_its_second_and_the_last_delay_ends_there(state: OutageState, clock: Clock) -> None:
    state.record_failure(REFUSED)
    clock.now += 117.0
    state.record_failure(TimeoutError("no answer within 5 s"))
    assert state.next_delay_s() == 3.0
    clock.now += 2.9
    assert not state.should_shutdown()
    clock.now += 0.2
    assert state.should_shutdown()
    assert state.next_delay_s() == 0.0
    assert (
        state.final_sentence()
        == "Head unreachable for 120 s, given up. The last error was: TimeoutError: no answer within 5 s"
    )


def test_one_throttle_for_all_and_reset_by_recovery(state: OutageState, clock: Clock) -> None:
    state.record_failure(REFUSED)
    assert [state.should_log(5.0) for _ in range(10)] == [True] + [False] * 9
    clock.now += 4.9
    assert not state.should_log(5.0)
    clock.now += 0.1
    assert state.should_log(5.0)
    state.record_success()
    state.record_failure(REFUSED)
    assert state.should_log(5.0), "a new outage logs at once"


def test_success_resets_everything(state: OutageState, clock: Clock) -> None:
    for _ in range(5):
        wait_once(state, clock)
    assert state.record_success() == 34.0
    assert state.record_success() is None
    assert (state.elapsed(), state.should_shutdown()) == (0.0, False)
    clock.now += 1000.0
    assert wait_once(state, clock) == 2.0
    assert state.elapsed() == 2.0


def test_the_final_sentence_has_no_traceback_and_no_control_characters() -> None:
    text = one_line(OSError("line one\n  File \x1b[31m\x00 two" + "x" * 5000))
    assert text.startswith("OSError: line one File [31m two")
    assert text.isprintable()
    assert len(text) <= 300
    assert one_line(TimeoutError()) == "TimeoutError()"
    assert one_line("plain words") == "plain words"


def test_threads_that_hammer_it_see_one_outage_and_one_log_line(clock: Clock) -> None:
    state = OutageState(clock=clock)
    logged: list[int] = []
    at_once = threading.Barrier(8)

    def hammer(number: int) -> None:
        at_once.wait(10)
        for _ in range(500):
            state.record_failure(REFUSED)
            if state.should_log(5.0):
                logged.append(number)
            assert state.next_delay_s() == 2.0

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert len(logged) == 1
    durations = [state.record_success() for _ in range(3)]
    assert durations == [0.0, None, None]


STEPS = st.lists(st.tuples(st.sampled_from(["failed", "answered", "log"]), st.floats(0, 30)), max_size=80)


@given(STEPS)
def test_an_outage_lasts_from_its_first_failure_whatever_comes_between(steps: list[tuple[str, float]]) -> None:
    limits = OutageLimits()
    outage, now, began_at, logged_at = Outage(limits), 0.0, None, None
    for what, passed_s in steps:
        now += passed_s
        if what == "failed":
            outage.record_failure("refused", now)
            began_at = now if began_at is None else began_at
        elif what == "answered":
            outage.record_success(now)
            began_at = logged_at = None
        elif outage.should_log(5.0, now):
            assert began_at is not None
            assert logged_at is None or now - logged_at >= 5.0 - 1e-9
            logged_at = now
        assert outage.elapsed(now) == (0.0 if began_at is None else now - began_at)
        assert outage.should_shutdown(now) == (began_at is not None and now >= began_at + limits.budget_s)
        assert 0.0 <= outage.next_delay_s(now) <= 10.0
        assert now + outage.next_delay_s(now) <= (now if began_at is None else max(now, began_at + 120.0)) + 1e-9
