"""The watchdog: silence counts only while a task is in flight; the one that is behind is named by the hardest fact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.watchdog import ProgressWatchdog, RankObservation, ranks_behind


def busy_watchdog() -> ProgressWatchdog:
    watchdog = ProgressWatchdog(10.0)
    watchdog.begin(2, 0.0)
    watchdog.busy(5.0, is_busy=True)
    return watchdog


def test_idle_is_not_a_hang() -> None:
    watchdog = ProgressWatchdog(10.0)
    watchdog.begin(2, 0.0)
    assert watchdog.deadline is None
    assert not watchdog.is_stalled(1e9)


def test_becoming_busy_starts_the_clock() -> None:
    watchdog = busy_watchdog()
    assert watchdog.deadline == 15.0
    assert not watchdog.is_stalled(14.9)
    assert watchdog.is_stalled(15.0)


def test_one_rank_that_moves_does_not_hide_one_that_does_not() -> None:
    watchdog = busy_watchdog()
    for second in range(6, 15):
        watchdog.moved(0, float(second))
    assert watchdog.is_stalled(15.0)


def test_more_work_while_busy_does_not_restart_the_clock() -> None:
    watchdog = busy_watchdog()
    watchdog.busy(14.0, is_busy=True)
    assert watchdog.is_stalled(15.0)


def test_nobody_is_watched_after_the_end() -> None:
    watchdog = busy_watchdog()
    watchdog.end()
    watchdog.moved(0, 6.0)
    assert watchdog.deadline is None


@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.floats(0, 9.9)), max_size=50))
def test_ranks_that_keep_moving_never_stall(moves: list[tuple[int, float]]) -> None:
    watchdog, now = busy_watchdog(), 5.0
    for rank, elapsed in moves:
        now += elapsed
        assert not watchdog.is_stalled(now)
        watchdog.moved(rank, now)
        watchdog.moved(1 - rank, now)


def seen(rank: int, *, step: int = 50, stopped: bool = False, cpu: float | None = None) -> RankObservation:
    return RankObservation(rank, step, stopped, cpu)


@pytest.mark.parametrize(
    ("observations", "behind"),
    [
        ([seen(0, cpu=0.0), seen(1, stopped=True, cpu=0.0)], (1,)),
        ([seen(0, step=5000), seen(1, step=90)], (1,)),
        ([seen(0, step=51), seen(1, step=50)], (1,)),
        ([seen(0, cpu=0.9), seen(1, cpu=0.0), seen(2, cpu=1.0)], (1,)),
        ([seen(0, cpu=0.9), seen(1, cpu=None)], (0, 1)),
        ([seen(0, cpu=0.0), seen(1, cpu=0.0)], (0, 1)),
        ([seen(0)], (0,)),
    ],
)
def test_the_one_behind(observations: list[RankObservation], behind: tuple[int, ...]) -> None:
    assert ranks_behind(observations) == behind
