"""The ladder: every rung once, in order, each with its time; the end is said, never looped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.ladder import CONDEMNED, GRACEFUL, RELEASE, RUNG_SIGNALS, Ladder, Rung, Step


@pytest.mark.parametrize("steps", [GRACEFUL, RELEASE, CONDEMNED])
def test_a_deaf_process_is_walked_down_to_unkillable(steps: tuple[Step, ...]) -> None:
    ladder, now = Ladder(steps), 50.0
    taken = [ladder.start(now)]
    while ladder.deadline is not None:
        assert ladder.tick(ladder.deadline - 0.001) is None
        now = ladder.deadline
        taken.append(ladder.tick(now))
    assert taken == [*(step.rung for step in steps), Rung.UNKILLABLE]
    assert [record.rung for record in ladder.records] == taken
    assert now - 50.0 == pytest.approx(sum(step.grace_s for step in steps))
    assert ladder.tick(now + 1e9) is None


def test_it_is_started_once() -> None:
    ladder = Ladder(RELEASE)
    assert ladder.start(0.0) is Rung.WAIT
    assert ladder.start(0.1) is None
    assert len(ladder.records) == 1


@pytest.mark.parametrize("steps", [GRACEFUL, RELEASE, CONDEMNED])
def test_sigkill_is_the_last_thing_tried(steps: tuple[Step, ...]) -> None:
    assert steps[-1].rung is Rung.KILL
    assert [step.rung for step in steps].count(Rung.KILL) == 1


def test_every_rung_but_three_is_a_signal() -> None:
    assert set(Rung) - set(RUNG_SIGNALS) == {Rung.WAIT, Rung.COOPERATIVE, Rung.UNKILLABLE}


@given(st.lists(st.floats(0, 3), max_size=60))
def test_time_in_any_steps_never_skips_a_rung(waits: list[float]) -> None:
    ladder, now = Ladder(GRACEFUL), 0.0
    ladder.start(now)
    for wait in waits:
        now += wait
        ladder.tick(now)
    expected = [*(step.rung for step in GRACEFUL), Rung.UNKILLABLE]
    assert [record.rung for record in ladder.records] == expected[: len(ladder.records)]
