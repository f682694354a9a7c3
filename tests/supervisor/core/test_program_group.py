"""The machine of `ringwarden run`: when ranks are released, what the exit code is, when it starts again."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate
from diagnostics.phase import Phase
from supervisor.core.program_group import (
    AwaitRestart,
    DeclareVerdict,
    EndAsked,
    Finish,
    KillAsked,
    ProgramAction,
    ProgramGroup,
    ProgramInput,
    ProgramLimits,
    RankEnded,
    ReleaseRanks,
    RestartWhen,
    SignalRanks,
    Start,
    StartGeneration,
    Tick,
)
from supervisor.core.restart import RestartLimits, RestartPolicy

LIMITS = ProgramLimits(verdict_settle_s=0.5, coincidence_s=0.02, stop_grace_s=10.0)


class Driver:
    """The machine with a clock of its own."""

    def __init__(self, world_size: int, when: RestartWhen = RestartWhen.NEVER, intensity: int = 5) -> None:
        policy = RestartPolicy(RestartLimits(first_delay_s=1.0, intensity=intensity))
        self.machine = ProgramGroup(world_size, when, policy, LIMITS)
        self.now = 100.0
        assert self.feed(Start()) == [StartGeneration(1)]

    def feed(self, program_input: ProgramInput) -> list[ProgramAction]:
        return list(self.machine.handle(program_input, self.now))

    def ended(self, rank: int, code: int, cause: Cause = Cause.UNKNOWN) -> list[ProgramAction]:
        status = ExitStatus(code=code) if code < 128 else ExitStatus(signal=code - 128)
        diagnosis = diagnosis_of(cause, Confidence.CERTAIN, f"ended with {code}")
        certificate = DeathCertificate(
            rank, self.machine.generation, "here", 1, Phase.FAILED, diagnosis, status, self.now
        )
        return self.feed(RankEnded(certificate, code))

    def wait(self) -> list[ProgramAction]:
        """Go to the deadline."""
        assert self.machine.deadline is not None
        self.now = self.machine.deadline
        return self.feed(Tick())


def test_all_ranks_may_end_well_in_their_own_time() -> None:
    group = Driver(2)
    assert group.ended(1, 0) == []
    assert group.machine.deadline is None, "nobody hurries the others"
    group.now += 1000
    assert group.ended(0, 0) == [Finish(0)]


def test_a_certain_cause_releases_the_others_at_once() -> None:
    group = Driver(3)
    assert group.ended(1, 137, Cause.KILLED_NO_STDERR) == []
    assert group.machine.deadline == pytest.approx(group.now + LIMITS.coincidence_s)
    declared, released = group.wait()
    assert isinstance(declared, DeclareVerdict)
    assert (declared.verdict.rank, declared.exit_code) == (1, 137)
    assert released == ReleaseRanks((0, 2))
    assert group.ended(0, 143) == []
    assert group.ended(2, 0) == [Finish(137)]


def test_what_a_released_rank_does_changes_nothing() -> None:
    group = Driver(2)
    group.ended(0, 3)
    declared, _ = group.wait()
    assert isinstance(declared, DeclareVerdict)
    assert group.ended(1, 139, Cause.SEGFAULT) == [Finish(3)]


def test_a_signal_is_passed_on_and_the_last_rank_gets_a_grace() -> None:
    group = Driver(2)
    assert group.feed(EndAsked(signal.SIGTERM)) == [SignalRanks((0, 1), signal.SIGTERM)]
    assert group.machine.deadline is None, "a program may take its time to end"
    assert group.ended(0, 143) == []
    assert group.wait() == [ReleaseRanks((1,))]
    assert group.now == 100.0 + LIMITS.stop_grace_s
    assert group.ended(1, 137) == [Finish(143, signal.SIGTERM)]


def test_a_lost_reader_has_its_own_code() -> None:
    group = Driver(1)
    group.feed(EndAsked(signal.SIGPIPE))
    assert group.ended(0, 143) == [Finish(141, signal.SIGPIPE)]


def test_a_signal_while_waiting_for_a_restart() -> None:
    group = Driver(1, RestartWhen.ON_FAILURE)
    group.ended(0, 4)
    assert group.machine.deadline is not None
    assert group.feed(EndAsked(signal.SIGINT)) == [Finish(130, signal.SIGINT)]


def test_a_signal_ends_the_restarts() -> None:
    group = Driver(2, RestartWhen.ALWAYS)
    group.feed(EndAsked(signal.SIGINT))
    group.ended(0, 0)
    assert group.ended(1, 0) == [Finish(0, signal.SIGINT)]


def test_restarts_wait_longer_each_time_and_are_given_up() -> None:
    group = Driver(1, RestartWhen.ON_FAILURE, intensity=2)
    for generation, delay_s in ((2, 1.0), (3, 2.0)):
        assert group.ended(0, 5)[-1] == AwaitRestart(delay_s)
        assert group.wait() == [StartGeneration(generation)]
    assert group.ended(0, 5)[-1] == Finish(5)


def test_an_old_generation_says_nothing() -> None:
    group = Driver(1, RestartWhen.ON_FAILURE)
    group.ended(0, 5)
    late = DeathCertificate(
        0, 1, "here", 1, Phase.FAILED, diagnosis_of(Cause.UNKNOWN, Confidence.CERTAIN, "late"), None, 0.0
    )
    group.wait()
    assert group.feed(RankEnded(late, 1)) == []


INPUTS = st.one_of(
    st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from([0, 0, 1, 3, 137])),
    st.tuples(st.just("signal"), st.sampled_from([signal.SIGINT, signal.SIGTERM]), st.just(0)),
    st.tuples(st.just("kill"), st.just(signal.SIGINT), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
)


@given(st.lists(INPUTS, max_size=30), st.sampled_from(list(RestartWhen)))
def test_whatever_happens_it_finishes_once_with_nobody_alive(
    inputs: list[tuple[str, int, int]], when: RestartWhen
) -> None:
    group, alive, finished = Driver(3, when), {0, 1, 2}, list[Finish]()

    def carry_out(actions: list[ProgramAction]) -> None:
        for action in actions:
            if isinstance(action, StartGeneration):
                assert not alive, "no generation starts beside another one"
                alive.update((0, 1, 2))
            elif isinstance(action, ReleaseRanks | SignalRanks):
                assert set(action.ranks) == alive
            elif isinstance(action, DeclareVerdict):
                assert action.exit_code != 0
            elif isinstance(action, Finish):
                assert not alive
                finished.append(action)

    everything = [*inputs, ("kill", signal.SIGINT, 0), *[("end", rank, 137) for rank in range(3)]]
    for what, number, code in everything:
        if finished:
            break
        if what == "end" and number in alive:
            alive.discard(number)
            carry_out(group.ended(number, code))
        elif what == "signal":
            carry_out(group.feed(EndAsked(number)))
        elif what == "kill":
            carry_out(group.feed(KillAsked(number)))
        elif what == "wait" and group.machine.deadline is not None:
            carry_out(group.wait())
    assert len(finished) == 1
