"""The group machine before its ranks exist: placed, not placed, placed again, taken over."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.phase import Phase
from supervisor.core.group import Group, GroupLimits
from supervisor.core.group_messages import (
    Adopt,
    BecomeReady,
    CannotPlace,
    DeclareVerdict,
    GroupAction,
    GroupInput,
    PlaceAgain,
    Placed,
    RankDied,
    RankReady,
    ReleaseRanks,
    Start,
    StartGeneration,
    Stop,
    Stopped,
    Tick,
)
from supervisor.core.restart import RestartLimits, RestartPolicy
from transports.http.gateway import GroupState


def new_group() -> Group:
    return Group(2, GroupLimits(), RestartPolicy(RestartLimits(first_delay_s=1.0)))


def died(rank: int, generation: int, node: str = "a") -> RankDied:
    diagnosis = Diagnosis(Cause.SEGFAULT, Confidence.CERTAIN, "crashed", "advice", True, False)
    return RankDied(
        DeathCertificate(rank, generation, node, 7, Phase.RUNNING, diagnosis, ExitStatus(signal=11), died_at_s=1.0)
    )


def test_the_placement_decides_how_many_ranks_there_are() -> None:
    group = new_group()
    assert group.handle(Start(), 0.0) == (StartGeneration(1),)
    group.handle(Placed(1, 3), 0.0)
    assert group.world_size == 3
    assert [group.handle(RankReady(rank, 1), 1.0) for rank in range(3)] == [(), (), (BecomeReady(1),)]


def test_without_a_place_the_group_waits_and_the_number_is_not_used_up() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    assert group.handle(CannotPlace(1, "Node b is not there."), 0.0) == ()
    assert (group.state, group.reason) == (GroupState.DEGRADED, "Node b is not there.")
    assert group.handle(PlaceAgain(), 1.0) == (StartGeneration(1),)
    assert (group.state, group.reason) == (GroupState.STARTING, None)


def test_without_a_place_it_looks_again_by_itself_ever_more_rarely() -> None:
    group, now, waits = new_group(), 0.0, list[float]()
    group.handle(Start(), now)
    for _ in range(6):
        group.handle(CannotPlace(1, "no memory"), now)
        assert group.deadline is not None
        assert group.handle(Tick(), group.deadline - 0.1) == ()
        waits.append(group.deadline - now)
        now = group.deadline
        assert group.handle(Tick(), now) == (StartGeneration(1),)
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
    assert group.restarts == 0


def test_a_number_of_an_earlier_supervisor_is_not_used_again() -> None:
    assert new_group().handle(Start(last_generation=41), 0.0) == (StartGeneration(42),)


def test_a_place_that_comes_too_late_is_nobodys() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    group.handle(CannotPlace(1, "no place"), 0.0)
    group.handle(PlaceAgain(), 0.0)
    group.handle(CannotPlace(7, "of another generation"), 0.0)
    assert group.state is GroupState.STARTING


def test_only_a_group_without_a_place_is_placed_again() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    assert group.handle(PlaceAgain(), 0.0) == ()
    group.handle(Placed(1, 1), 0.0)
    group.handle(RankReady(0, 1), 0.0)
    assert group.handle(PlaceAgain(), 0.0) == ()
    assert group.state is GroupState.READY


def test_a_group_that_lost_its_place_after_a_failure_restarts() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    group.handle(Placed(1, 1), 0.0)
    group.handle(RankReady(0, 1), 0.0)
    group.handle(died(0, 1), 1.0)
    assert group.handle(Tick(), 10.0) == (StartGeneration(2),)
    group.handle(CannotPlace(2, "no place"), 10.0)
    assert group.handle(PlaceAgain(), 11.0) == (StartGeneration(2),)
    assert group.state is GroupState.RESTARTING


def test_a_group_can_be_stopped_while_it_has_no_place() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    group.handle(CannotPlace(1, "no place"), 0.0)
    assert group.handle(Stop(), 0.0) == (Stopped(),)


def test_a_stop_during_placing_ends_with_the_placing() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    assert group.handle(Stop(), 0.0) == (ReleaseRanks((0, 1), gracefully=True),)
    assert group.handle(CannotPlace(1, "stopped"), 0.0) == (Stopped(),)
    assert group.state is GroupState.STOPPED


def test_what_serves_already_is_taken_over_and_fails_like_any_other() -> None:
    group = new_group()
    assert group.handle(Adopt(9, 3), 0.0) == (BecomeReady(9),)
    assert (group.generation, group.world_size, group.state) == (9, 3, GroupState.READY)
    group.handle(died(1, 9), 1.0)
    (declared, released) = group.handle(Tick(), 2.0)
    assert isinstance(declared, DeclareVerdict)
    assert released == ReleaseRanks((0, 2), gracefully=False)


def test_nothing_is_taken_over_after_a_start() -> None:
    group = new_group()
    group.handle(Start(), 0.0)
    assert group.handle(Adopt(9, 3), 0.0) == ()
    assert group.generation == 1


def test_over_nodes_a_verdict_names_the_node() -> None:
    group = new_group()
    group.handle(Adopt(1, 2, over_nodes=True), 0.0)
    group.handle(died(1, 1, node="mini-2"), 1.0)
    (declared, *_) = group.handle(Tick(), 2.0)
    assert isinstance(declared, DeclareVerdict)
    assert "mini-2" in declared.verdict.sentence


INPUTS = st.one_of(
    st.builds(Start, st.integers(0, 3)),
    st.builds(Adopt, st.integers(1, 4), st.integers(1, 3)),
    st.builds(Placed, st.integers(1, 5), st.integers(1, 3)),
    st.builds(CannotPlace, st.integers(1, 5), st.just("no place")),
    st.just(PlaceAgain()),
    st.just(Stop()),
    st.just(Tick()),
    st.builds(RankReady, st.integers(0, 2), st.integers(1, 5)),
    st.builds(died, st.integers(0, 2), st.integers(1, 5)),
)


@example([Adopt(4, 1), Stop(), CannotPlace(4, "no place"), CannotPlace(4, "no place"), PlaceAgain()])
@given(st.lists(INPUTS, max_size=40))
def test_nothing_is_started_beside_a_living_rank_or_after_a_stop(inputs: Sequence[GroupInput]) -> None:
    """Whoever is alive: as many as were placed, until each has died or could not be placed."""
    group, alive, stopped, now, heard_of = new_group(), set[int](), False, 0.0, False
    for one in inputs:
        now += 5.0
        before, state_before = group.generation, group.state
        actions: Sequence[GroupAction] = group.handle(one, now)
        if isinstance(one, RankDied) and one.certificate.generation == before:
            alive.discard(one.certificate.rank)
        starting = state_before in (GroupState.STARTING, GroupState.RESTARTING)
        if isinstance(one, Placed) and starting and one.generation == before and not heard_of:
            alive = set(range(one.world_size))
        if isinstance(one, RankDied | RankReady):
            heard_of = True  # Of any rank: from then on the places of this generation are settled, at the latest.
        if isinstance(one, CannotPlace) and one.generation == before:
            alive.clear()
        if isinstance(one, Adopt) and any(isinstance(action, BecomeReady) for action in actions):
            alive = set(range(one.world_size))
        for action in actions:
            if isinstance(action, StartGeneration):
                assert not alive
                assert not stopped
                alive, heard_of = set(range(group.world_size)), False
        stopped = stopped or isinstance(one, Stop)
        assert group.generation >= 0
