"""The group machine: all for one, one verdict per generation, nothing started beside a living rank."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.phase import Phase
from supervisor.core.group import Group, GroupLimits
from supervisor.core.group_messages import (
    Abandon,
    AddCertificate,
    AwaitRestart,
    BecomeReady,
    DeclareVerdict,
    GroupAction,
    RankDied,
    RankReady,
    RankUnkillable,
    ReleaseRanks,
    Start,
    StartGeneration,
    Stop,
    Stopped,
    Tick,
)
from supervisor.core.restart import RestartAfter, RestartLimits, RestartPolicy
from transports.http.gateway import GroupState

LIMITS = GroupLimits(verdict_settle_s=0.5, coincidence_s=0.02)


def new_group(world_size: int = 2, intensity: int = 5) -> Group:
    return Group(world_size, LIMITS, RestartPolicy(RestartLimits(first_delay_s=1.0, intensity=intensity)))


def died(rank: int, cause: Cause = Cause.KILLED_NO_STDERR, *, generation: int = 1, at: float = 0.0) -> RankDied:
    peer_loss = cause is Cause.RING_PEER_CLOSED
    diagnosis = Diagnosis(cause, Confidence.CERTAIN, f"died of {cause.value}", "advice", True, peer_loss)
    status = ExitStatus(code=1) if peer_loss else ExitStatus(signal=9)
    return RankDied(DeathCertificate(rank, generation, "here", 100 + rank, Phase.RUNNING, diagnosis, status, at))


def kinds(actions: Sequence[GroupAction]) -> list[type]:
    return [type(action) for action in actions]


def serving_group(world_size: int = 2, intensity: int = 5) -> Group:
    group = new_group(world_size, intensity)
    assert group.handle(Start(), 0.0) == (StartGeneration(1),)
    for rank in range(world_size - 1):
        assert group.handle(RankReady(rank, 1), 1.0) == ()
    assert group.handle(RankReady(world_size - 1, 1), 1.0) == (BecomeReady(1),)
    assert group.state is GroupState.READY
    return group


def test_a_certain_local_cause_is_declared_after_the_coincidence_window_only() -> None:
    group = serving_group()
    assert group.handle(died(1), 10.0) == ()
    assert group.state is GroupState.RESTARTING
    assert group.deadline == 10.02
    verdict, release = group.handle(Tick(), 10.02)
    assert isinstance(verdict, DeclareVerdict)
    assert (verdict.verdict.rank, verdict.verdict.kind) == (1, Cause.KILLED_NO_STDERR)
    assert isinstance(verdict.decision, RestartAfter)
    assert release == ReleaseRanks((0,), gracefully=False)


def test_a_symptom_waits_for_the_cause() -> None:
    group = serving_group(3)
    assert group.handle(died(0, Cause.RING_PEER_CLOSED), 10.0) == ()
    assert group.deadline == 10.5
    assert group.handle(died(2), 10.3) == ()
    verdict, _ = group.handle(Tick(), 10.32)
    assert isinstance(verdict, DeclareVerdict)
    assert verdict.verdict.rank == 2


def test_a_symptom_alone_is_declared_when_the_time_is_up() -> None:
    group = serving_group(3)
    group.handle(died(0, Cause.RING_PEER_CLOSED), 10.0)
    assert kinds(group.handle(Tick(), 10.5)) == [DeclareVerdict, ReleaseRanks]


def test_all_ranks_dead_needs_no_waiting() -> None:
    group = serving_group()
    group.handle(died(0, Cause.RING_PEER_CLOSED), 10.0)
    assert kinds(group.handle(died(1, Cause.RING_PEER_CLOSED), 10.1)) == [DeclareVerdict, AwaitRestart]
    assert group.deadline == 11.1


def test_the_next_generation_waits_for_the_last_survivor() -> None:
    group = serving_group()
    group.handle(died(1), 10.0)
    group.handle(Tick(), 10.02)
    assert group.handle(Tick(), 1000.0) == ()
    assert kinds(group.handle(died(0, Cause.KILLED_BY_SUPERVISOR), 1001.0)) == [AddCertificate, AwaitRestart]
    assert group.handle(Tick(), 1001.9) == ()
    assert group.handle(Tick(), 1002.0) == (StartGeneration(2),)


def test_late_news_of_an_old_generation_changes_nothing() -> None:
    group = serving_group()
    group.handle(died(1), 10.0)
    group.handle(died(0), 10.0)
    group.handle(Tick(), 20.0)
    assert group.generation == 2
    assert group.handle(RankReady(0, 1), 20.0) == ()
    assert group.handle(died(0, generation=1), 20.0) == ()
    assert group.handle(RankReady(0, 2), 21.0) == ()
    assert group.handle(RankReady(1, 2), 21.0) == (BecomeReady(2),)
    assert group.reason is None


def test_intensity_zero_abandons_at_the_first_failure() -> None:
    group = serving_group(1, intensity=0)
    assert kinds(group.handle(died(0), 10.0)) == [DeclareVerdict, Abandon]
    assert group.state is GroupState.FAILED
    assert group.reason is not None
    assert "Rank 0" in group.reason
    assert group.handle(Tick(), 1e6) == ()


def test_an_unkillable_rank_is_a_reason_not_a_loop() -> None:
    group = serving_group()
    group.handle(died(1), 10.0)
    group.handle(Tick(), 10.02)
    assert kinds(group.handle(RankUnkillable(0, 4711), 20.0)) == [Abandon]
    assert group.reason is not None
    assert "4711" in group.reason
    assert group.handle(Tick(), 1e6) == ()


def test_stopping_a_healthy_group_is_graceful_and_blames_nobody() -> None:
    group = serving_group()
    assert group.handle(Stop(), 5.0) == (ReleaseRanks((0, 1), gracefully=True),)
    assert group.handle(died(0), 5.1) == ()
    assert group.handle(died(1), 5.2) == (Stopped(),)
    assert group.handle(Stop(), 6.0) == ()


def test_stopped_before_it_started_it_never_starts() -> None:
    group = new_group()
    assert group.handle(Stop(), 0.0) == (Stopped(),)
    assert group.handle(Start(), 0.0) == ()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ready"), st.integers(0, 2)),
        st.tuples(
            st.just("died"),
            st.integers(0, 2),
            st.sampled_from([Cause.KILLED_NO_STDERR, Cause.RING_PEER_CLOSED, Cause.PYTHON_EXCEPTION_OTHER]),
        ),
        st.tuples(st.just("wait"), st.floats(0.0, 3.0)),
        st.just(("stop",)),
    ),
    max_size=120,
)


@given(STEPS)
def test_whatever_happens_the_invariants_hold(steps: list[tuple[object, ...]]) -> None:
    group, now = new_group(3), 0.0
    alive: set[int] = set()
    verdicts: dict[int, int] = {}
    ready: list[int] = []

    def carry_out(actions: Sequence[GroupAction]) -> None:
        for action in actions:
            if isinstance(action, StartGeneration):
                assert not alive, "a generation starts beside living ranks"
                assert action.generation == len(verdicts) + 1
                alive.update(range(3))
            elif isinstance(action, DeclareVerdict):
                verdicts[group.generation] = verdicts.get(group.generation, 0) + 1
                assert action.certificates
            elif isinstance(action, BecomeReady):
                assert alive == {0, 1, 2}
                ready.append(action.generation)
            elif isinstance(action, ReleaseRanks):
                assert set(action.ranks) == alive
            elif isinstance(action, AwaitRestart | Abandon | Stopped):
                assert not alive

    carry_out(group.handle(Start(), now))
    for step in steps:
        if step[0] == "wait":
            assert isinstance(step[1], float)
            now += step[1]
            carry_out(group.handle(Tick(), now))
        elif step[0] == "ready":
            assert isinstance(step[1], int)
            carry_out(group.handle(RankReady(step[1], group.generation), now))
        elif step[0] == "stop":
            carry_out(group.handle(Stop(), now))
        elif step[1] in alive:
            assert isinstance(step[1], int)
            assert isinstance(step[2], Cause)
            alive.discard(step[1])
            carry_out(group.handle(died(step[1], step[2], generation=group.generation, at=now), now))
        assert all(count == 1 for count in verdicts.values())
        if group.deadline is not None:
            assert group.deadline <= now + 10.0
    assert len(ready) == len(set(ready))
