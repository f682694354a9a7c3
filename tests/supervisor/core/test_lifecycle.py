"""The lifecycle machine: every announced step is in the table or ends the runner; time moves deadlines only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.evidence import Diagnostic, SupervisorFinding
from diagnostics.phase import Phase
from supervisor.core.lifecycle import (
    Announced,
    ChannelEnded,
    Condemned,
    EndRunner,
    EnterPhase,
    FatalLine,
    Lifecycle,
    LifecycleInput,
    LifecycleLimits,
    Moved,
    StopWanted,
    Tick,
    Waits,
)

LIMITS = LifecycleLimits(start_timeout_s=10.0, fatal_grace_s=5.0)
STRAIGHT = [
    Phase.CONNECTING,
    Phase.CONNECTED,
    Phase.LOADING,
    Phase.LOADING,
    Phase.LOADED,
    Phase.WARMING_UP,
    Phase.READY,
    Phase.RUNNING,
    Phase.READY,
]
FATAL = Diagnostic(Cause.RING_ABORT, 3, 1, "the ring gave up", "[ring] ...", (), "ring_abort", fatal=True, symptom=True)


def driven(*inputs: LifecycleInput, now: float = 0.0) -> Lifecycle:
    machine = Lifecycle(LIMITS, 0.0)
    for lifecycle_input in inputs:
        machine.handle(lifecycle_input, now)
    return machine


def test_a_runner_that_lives_by_the_table_is_never_ended() -> None:
    machine = Lifecycle(LIMITS, 0.0)
    for phase in [*STRAIGHT, Phase.SHUTTING_DOWN, Phase.SHUTDOWN]:
        assert machine.handle(Announced(phase), 0.0) == (EnterPhase(phase),)
    assert machine.phase is Phase.SHUTDOWN
    assert machine.finding is None


@pytest.mark.parametrize("phase", [Phase.READY, Phase.RUNNING, Phase.SHUTDOWN, Phase.FAILED, Phase.IDLE])
def test_an_announcement_out_of_order_is_a_violation(phase: Phase) -> None:
    machine = Lifecycle(LIMITS, 0.0)
    (action,) = machine.handle(Announced(phase), 0.0)
    assert isinstance(action, EndRunner)
    assert action.finding is not None
    assert action.finding.kind is Cause.PROTOCOL_VIOLATION
    assert f"announced {phase.value} while idle" in action.finding.message
    assert machine.phase is Phase.IDLE


def test_a_start_that_says_nothing_times_out() -> None:
    machine = driven(Announced(Phase.CONNECTING), now=1.0)
    assert machine.deadline == 11.0
    assert machine.handle(Tick(), 10.9) == ()
    (action,) = machine.handle(Tick(), 11.0)
    assert isinstance(action, EndRunner)
    assert action.finding is not None
    assert action.finding.kind is Cause.START_TIMEOUT
    assert "10 s while connecting" in action.finding.message


def test_a_slow_start_that_moves_never_times_out() -> None:
    machine = Lifecycle(LIMITS, 0.0)
    for second in range(9, 900, 9):
        assert machine.handle(Moved(), float(second)) == ()
        assert machine.handle(Tick(), float(second) + 8.9) == ()
    assert machine.finding is None


def test_a_runner_that_waits_for_others_may_wait_as_long_as_they_need() -> None:
    machine = driven(Announced(Phase.CONNECTING), now=1.0)
    machine.handle(Waits(), 2.0)
    assert machine.deadline is None
    assert machine.handle(Tick(), 1e6) == ()
    machine.handle(Moved(), 1e6)
    assert machine.deadline == 1e6 + 10.0


def test_once_ready_silence_is_no_failure() -> None:
    machine = driven(*(Announced(phase) for phase in STRAIGHT))
    assert machine.was_ready
    assert machine.deadline is None
    assert machine.handle(Tick(), 1e9) == ()


def test_a_fatal_line_without_an_exit_becomes_the_failure() -> None:
    machine = driven(*(Announced(phase) for phase in STRAIGHT))
    machine.handle(FatalLine(FATAL), 100.0)
    machine.handle(FatalLine(FATAL), 103.0)
    assert machine.deadline == 105.0
    assert machine.handle(Tick(), 104.9) == ()
    (action,) = machine.handle(Tick(), 105.0)
    assert isinstance(action, EndRunner)
    assert action.finding is not None
    assert action.finding.kind is Cause.RING_ABORT
    assert "did not exit" in action.finding.message


def test_a_closed_channel_without_an_exit_is_a_violation_after_the_grace() -> None:
    machine = driven(ChannelEnded(), now=0.0)
    (action,) = machine.handle(Tick(), 5.0)
    assert isinstance(action, EndRunner)
    assert action.finding is not None
    assert action.finding.kind is Cause.PROTOCOL_VIOLATION


def test_a_broken_protocol_ends_the_runner_at_once() -> None:
    (action,) = Lifecycle(LIMITS, 0.0).handle(ChannelEnded("frame of 0 bytes"), 0.0)
    assert isinstance(action, EndRunner)
    assert action.finding is not None
    assert "frame of 0 bytes" in action.finding.message


STALLED = Condemned(SupervisorFinding(Cause.STALLED, "made no progress"))


def test_a_condemned_runner_is_ended_with_its_finding() -> None:
    assert driven(Announced(Phase.CONNECTING)).handle(STALLED, 1.0) == (EndRunner(STALLED.finding),)


ANY_INPUT = st.one_of(
    st.sampled_from([*Phase]).map(Announced),
    st.sampled_from(
        [Moved(), Waits(), FatalLine(FATAL), ChannelEnded(), ChannelEnded("bad"), StopWanted(), Tick(), STALLED]
    ),
)


@given(st.lists(st.tuples(ANY_INPUT, st.floats(0, 100)), max_size=40))
def test_whatever_happens_the_runner_is_ended_at_most_once(history: list[tuple[LifecycleInput, float]]) -> None:
    machine = Lifecycle(LIMITS, 0.0)
    now, ends = 0.0, 0
    for lifecycle_input, elapsed in history:
        now += elapsed
        ends += sum(isinstance(action, EndRunner) for action in machine.handle(lifecycle_input, now))
        assert machine.stop_wanted == (ends == 1)
        assert machine.phase is not Phase.FAILED
        if machine.stop_wanted:
            assert machine.deadline is None
    assert ends <= 1
