"""How long until a place is free, by what was seen."""

import pytest

from supervisor.core.pace import Pace


def test_nothing_is_claimed_before_two_ends() -> None:
    pace = Pace()
    assert pace.seconds_per_end == 0.0
    pace.ended(5.0)
    assert pace.seconds_per_end == 0.0


def test_the_newest_ends_count() -> None:
    pace = Pace(newest_ends=3)
    for now in (0.0, 100.0, 102.0, 106.0):
        pace.ended(now)
    assert pace.seconds_per_end == pytest.approx(3.0)
