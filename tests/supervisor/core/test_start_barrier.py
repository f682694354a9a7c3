"""The start barrier: the absent or late rank is named in time, never one that waits for it, nor a healthy start."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.diagnosing import diagnosis_of
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport
from diagnostics.incident import Confidence, DeathCertificate
from diagnostics.phase import Phase
from diagnostics.verdict import fold
from supervisor.core.start_barrier import (
    Announced,
    BarrierInput,
    BarrierLimits,
    Died,
    Late,
    Moved,
    StartBarrier,
    Tick,
)

LIMITS = BarrierLimits(connecting_s=20.0, connected_s=20.0, forming_s=45.0, loaded_s=120.0, ready_s=60.0)
MLX_GIVES_UP_S = 31.0
LIFE = [
    Phase.CONNECTING,
    Phase.CONNECTED,
    Phase.LOADING,
    Phase.LOADED,
    Phase.WARMING_UP,
    Phase.READY,
]


class Start:
    def __init__(self, world_size: int) -> None:
        self.barrier = StartBarrier(range(world_size), LIMITS)
        self.now = 100.0
        self.late: list[Late] = []

    def take(self, *inputs: BarrierInput) -> list[Late]:
        found = [late for one in inputs for late in self.barrier.handle(one, self.now)]
        self.late += found
        return found

    def reach(self, phase: Phase, *ranks: int) -> None:
        for rank in ranks:
            for passed in LIFE[: LIFE.index(phase) + 1]:
                assert self.take(Announced(rank, passed)) == []

    def passes(self, seconds: float) -> list[Late]:
        """Time passes, with a tick at each deadline on the way."""
        ends_at, found = self.now + seconds, list[Late]()
        while (deadline := self.barrier.deadline) is not None and deadline <= ends_at:
            assert deadline >= self.now
            self.now = deadline
            found += self.take(Tick())
        self.now = ends_at
        return found


def named(late: list[Late]) -> list[int]:
    assert all(one.finding.kind is Cause.START_TIMEOUT for one in late)
    return [one.rank for one in late]


@pytest.mark.parametrize("absent", [0, 1, 2, 3])
def test_an_absent_rank_is_named_before_mlx_blames_its_neighbour(absent: int) -> None:
    start = Start(4)
    start.reach(Phase.CONNECTING, *(rank for rank in range(4) if rank != absent))
    assert start.passes(19.9) == []
    (late,) = start.passes(0.2)
    assert late.rank == absent
    assert late.finding.message == ("had not begun to connect 20 s after the others; the group cannot form without it")
    assert LIMITS.connecting_s < MLX_GIVES_UP_S < LIMITS.forming_s
    assert start.passes(1000.0) == [], "once per generation"


def test_nobody_is_late_before_the_first_has_begun() -> None:
    start = Start(3)
    assert start.barrier.deadline is None
    assert start.passes(1e6) == []


def test_two_absent_ranks_are_both_named() -> None:
    start = Start(4)
    start.reach(Phase.CONNECTING, 0, 3)
    late = start.passes(20.0)
    assert named(late) == [1, 2]
    assert "20 s after the first rank" in late[0].finding.message


def test_progress_does_not_excuse_a_rank_that_does_not_connect() -> None:
    start = Start(2)
    start.reach(Phase.CONNECTING, 0)
    start.passes(19.0)
    start.take(Moved(1), Moved(1))
    assert named(start.passes(1.0)) == [1]
    assert "after the other rank" in start.late[0].finding.message


def test_who_waits_for_an_absent_rank_is_not_named_although_it_is_late_itself() -> None:
    start = Start(4)
    start.reach(Phase.CONNECTED, 0)
    start.reach(Phase.CONNECTING, 1, 3)
    assert named(start.passes(60.0)) == [2]


def test_a_rank_that_does_not_get_into_the_ring_is_named() -> None:
    start = Start(3)
    start.reach(Phase.CONNECTING, 0, 1, 2)
    start.reach(Phase.CONNECTED, 0, 2)
    assert named(start.passes(20.0)) == [1]


def test_when_nobody_gets_through_all_are_named() -> None:
    start = Start(3)
    start.reach(Phase.CONNECTING, 0, 1)
    start.passes(15.0)
    start.reach(Phase.CONNECTING, 2)
    assert start.passes(44.9) == []
    assert named(start.passes(0.2)) == [0, 1, 2]


def test_a_slow_load_that_moves_is_never_late() -> None:
    start = Start(2)
    start.reach(Phase.LOADED, 0)
    start.reach(Phase.LOADING, 1)
    for _ in range(100):
        assert start.passes(119.0) == []
        start.take(Moved(1))
    for _ in range(100):
        assert start.passes(119.0) == []
        start.take(Announced(1, Phase.LOADING))
    assert named(start.passes(120.0)) == [1]


def test_who_waits_in_the_warm_up_for_a_slow_load_has_its_time_afterwards() -> None:
    start = Start(3)
    start.reach(Phase.READY, 0)
    start.reach(Phase.WARMING_UP, 1)
    start.reach(Phase.LOADING, 2)
    for _ in range(10):
        assert start.passes(50.0) == []
        start.take(Moved(2))
    start.reach(Phase.READY, 2)
    assert start.passes(59.0) == []
    assert named(start.passes(1.0)) == [1]


def test_a_group_that_is_ready_has_no_clock() -> None:
    start = Start(2)
    start.reach(Phase.READY, 0, 1)
    start.take(Announced(0, Phase.RUNNING), Announced(0, Phase.SHUTTING_DOWN))
    assert start.barrier.deadline is None
    assert start.passes(1e6) == []


def test_a_death_ends_it() -> None:
    start = Start(3)
    start.reach(Phase.CONNECTING, 0, 1)
    start.take(Died(1))
    assert start.passes(1e6) == []


def test_one_rank_waits_for_nobody_and_strangers_are_nobody() -> None:
    alone = Start(1)
    alone.reach(Phase.CONNECTING, 0)
    assert alone.passes(1e6) == []
    start = Start(2)
    start.take(Announced(7, Phase.CONNECTING), Moved(7), Died(7))
    assert start.barrier.deadline is None


def test_the_verdict_names_the_absent_rank_and_its_node() -> None:
    start = Start(3)
    start.reach(Phase.CONNECTING, 0, 1)
    (late,) = start.passes(20.0)
    evidence = DeathEvidence(OperatingSystem.LINUX, Phase.IDLE, None, StreamReport(), finding=late.finding)
    absent = DeathCertificate(2, 1, "b", 7, Phase.IDLE, classify(evidence), ExitStatus(signal=9), 120.0)
    stopped = diagnosis_of(Cause.KILLED_BY_SUPERVISOR, Confidence.CERTAIN, "was stopped by Ringwarden")
    others = [DeathCertificate(rank, 1, "a", 8, Phase.CONNECTING, stopped, None, 1.0) for rank in (0, 1)]
    verdict = fold([*others, absent], 3)
    assert (verdict.rank, verdict.kind) == (2, Cause.START_TIMEOUT)
    assert verdict.sentence == (
        "Rank 2 on node b had not begun to connect 20 s after the others while starting; "
        "the group cannot form without it."
    )


RANKS = st.integers(0, 3)
INPUTS = st.one_of(
    st.builds(Announced, RANKS, st.sampled_from([*LIFE, Phase.FAILED])), st.builds(Moved, RANKS), st.just(Tick())
)


@settings(deadline=None)
@given(st.lists(st.tuples(INPUTS, st.floats(0, 30)), max_size=60))
def test_whoever_is_named_is_furthest_behind_and_there_is_always_an_end(
    script: list[tuple[BarrierInput, float]],
) -> None:
    start = Start(4)
    reached = dict.fromkeys(range(4), -1)
    for one, passed_s in script:
        found = start.passes(passed_s)
        if not found:
            if isinstance(one, Announced) and one.phase in LIFE:
                reached[one.rank] = max(reached[one.rank], LIFE.index(one.phase))
            found = start.take(one)
        if found:
            assert {reached[late.rank] for late in found} == {min(reached.values())}
            break
    begun, done = any(height >= 0 for height in reached.values()), min(reached.values()) == len(LIFE) - 1
    stuck = len({*reached.values()}) > 1 or min(reached.values()) == 0
    if begun and not done and stuck:
        start.passes(sum((20.0, 20.0, 45.0, 120.0, 60.0)))
        assert start.late, "a start that stands still ends"
    assert len({late.rank for late in start.late}) == len(start.late)


@settings(deadline=None)
@given(st.permutations([(rank, phase) for rank in range(3) for phase in range(len(LIFE))]), st.floats(0.0, 0.5))
def test_a_start_in_which_everybody_keeps_up_is_left_alone(order: list[tuple[int, int]], passed_s: float) -> None:
    start, reached = Start(3), dict.fromkeys(range(3), 0)
    for rank, _ in order:
        assert start.passes(passed_s) == []
        assert start.take(Announced(rank, LIFE[reached[rank]])) == []
        reached[rank] += 1
    assert start.barrier.deadline is None
