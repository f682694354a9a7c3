"""The life of a runner as its supervisor sees it."""

import os
import signal
import time

import pytest

from diagnostics.evidence import RunnerTerminationError
from diagnostics.phase import Phase
from tests.runner.harness import GREEDY, SCRIPTED, running
from transports.messages import (
    Configure,
    ModelFacts,
    PhaseChanged,
    Progress,
    RunnerHello,
    SamplingParameters,
    TaskAccepted,
    TaskFinished,
    TokenChunk,
)
from transports.progress import Activity

LONG = SamplingParameters(temperature=0.0, max_tokens=3000, ignore_eos=True)


@pytest.mark.parametrize("ranks", [1, 3])
def test_phases_tokens_and_shutdown(ranks: int) -> None:
    with running(ranks=ranks) as group:
        group.wait_for_phase(Phase.READY)
        assert group.run("a", "x y z") == " ".join(f"word{n}" for n in range(16))
        group.wait_for_phase(Phase.READY)
        assert group.shut_down() == [0] * ranks
        for runner in group.runners:
            assert isinstance(runner.events[0], RunnerHello)
            assert runner.phases == [
                Phase.CONNECTING,
                Phase.CONNECTED,
                Phase.LOADING,
                Phase.LOADED,
                Phase.WARMING_UP,
                Phase.READY,
                Phase.RUNNING,
                Phase.READY,
                Phase.SHUTTING_DOWN,
                Phase.SHUTDOWN,
            ]
            assert runner.events[-1] == PhaseChanged(Phase.SHUTDOWN)
            layers = [e.done for e in runner.of(PhaseChanged) if e.phase is Phase.LOADING]
            assert layers == [0, 1, 2, 3, 4]
            assert len(runner.of(ModelFacts)) == 1
            assert runner.violation is None
        for follower in group.runners[1:]:
            assert not follower.of(TokenChunk)
        leader = group.leader
        assert leader.of(TaskAccepted) == [TaskAccepted("a", 3)]
        assert [chunk.index for chunk in leader.of(TokenChunk)] == list(range(16))
        assert leader.of(TaskFinished) == [TaskFinished("a", "length", 3, 16)]


def test_hello_comes_before_anything_heavy() -> None:
    with running() as group:
        group.leader.wait_for(lambda: group.leader.events)
        hello = group.leader.of(RunnerHello)[0]
        assert hello.pid == group.leader.process.pid
        assert hello.mlx_version is not None


def test_eight_tasks_at_once_on_three_ranks() -> None:
    ids = [f"t{n}" for n in range(8)]
    with running(ranks=3) as group:
        group.wait_for_phase(Phase.READY)
        for task_id in ids:
            group.start(task_id)
        group.finish(*ids)
        group.wait_for_phase(Phase.READY)
        for task_id in ids:
            assert len(group.leader.terminals(task_id)) == 1
            assert group.leader.text(task_id) == " ".join(f"word{n}" for n in range(16))
        assert group.shut_down() == [0, 0, 0]


def test_counting_a_prompt_keeps_no_rank_busy() -> None:
    with running(ranks=2) as group:
        group.wait_for_phase(Phase.READY)
        group.start("long", sampling=LONG)
        group.start("counted", "x y z", SamplingParameters(max_tokens=0))
        group.finish("counted")
        group.cancel("long")
        group.finish("long")
        assert group.leader.of(TaskAccepted, "counted") == [TaskAccepted("counted", 3)]
        assert group.leader.terminals("counted") == [TaskFinished("counted", "length", 3, 0)]
        group.wait_for_phase(Phase.READY)
        group.start("idle", "x y", SamplingParameters(max_tokens=0))
        group.finish("idle")
        assert group.run("next")
        assert group.shut_down() == [0, 0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_cancel_ends_one_task_and_only_that(ranks: int) -> None:
    with running(ranks=ranks) as group:
        group.wait_for_phase(Phase.READY)
        group.start("long", sampling=LONG)
        group.start("short", sampling=GREEDY)
        group.leader.wait_for(lambda: len(group.leader.of(TokenChunk, "long")) > 3)
        group.cancel("long")
        group.cancel("never heard of")
        group.finish("long", "short")
        (end,) = group.leader.terminals("long")
        assert end.finish_reason == "cancelled"
        assert end.completion_tokens == len(group.leader.of(TokenChunk, "long"))
        assert group.leader.terminals("short")[0].finish_reason == "length"
        group.wait_for_phase(Phase.READY)
        group.cancel("long")
        assert group.run("next")
        assert group.shut_down() == [0] * ranks
        assert len(group.leader.terminals("long")) == 1


def test_a_task_cancelled_in_the_same_breath_wakes_and_settles_all_ranks() -> None:
    with running(ranks=2) as group:
        group.wait_for_phase(Phase.READY)
        for number in range(50):
            group.start(f"t{number}")
            group.cancel(f"t{number}")
        group.finish(*(f"t{number}" for number in range(50)))
        group.wait_for_phase(Phase.READY)
        assert group.run("next")
        assert group.shut_down() == [0, 0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_shutdown_cancels_what_is_open(ranks: int) -> None:
    with running(ranks=ranks) as group:
        group.wait_for_phase(Phase.READY)
        group.start("long", sampling=LONG)
        group.leader.wait_for(lambda: group.leader.of(TokenChunk))
        assert group.shut_down() == [0] * ranks
        (end,) = group.leader.terminals("long")
        assert end.finish_reason == "cancelled"


@pytest.mark.parametrize("place", ["connect", "load", "warm_up"])
def test_shutdown_while_starting_does_not_wait(place: str) -> None:
    with running(faults=[{"at": place, "action": "hang"}]) as group:
        group.leader.wait_for(lambda: group.leader.phases)
        codes = group.shut_down()
        # While connecting, the GIL may be held: whoever is first, the control thread or the kernel.
        assert codes == [0] or (place == "connect" and codes == [int(signal.SIGIO)])
        assert codes != [0] or group.leader.phases[-1] is Phase.SHUTDOWN


def test_progress_grows_while_computing_and_rests_while_idle() -> None:
    with running(script={"token_interval_s": 0.05}) as group:
        group.wait_for_phase(Phase.READY)
        group.start("long", sampling=LONG)
        group.leader.wait_for(lambda: group.leader.of(Progress)[-1].step > 30)
        group.cancel("long")
        group.wait_for_phase(Phase.READY)
        group.leader.wait_for(lambda: group.leader.of(Progress)[-1].activity is Activity.IDLE)
        steps = [event.step for event in group.leader.of(Progress)]
        assert steps == sorted(steps)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            group.leader.pump(0.1)
        assert len(group.leader.of(Progress)) <= len(steps) + 1


def test_stacks_are_dumped_on_the_dump_descriptor_only() -> None:
    with running(faults=[{"at": "step", "action": "hang"}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a")
        group.wait_for_phase(Phase.RUNNING)
        os.kill(group.leader.process.pid, signal.SIGUSR1)
        group.leader.wait_for(lambda: "loop.py" in group.leader.dump_text())
        assert "loop.py" not in group.leader.error_text()


def test_the_first_command_must_fit() -> None:
    with running(engine="nonsense") as group:
        assert group.leader.exit_code() == 1
        (error,) = group.leader.of(RunnerTerminationError)
        assert error.type_name == "runner.engine.EngineNotFound"
        assert "module:Class" in error.message
    with running(max_concurrent_tasks=0) as group:
        assert group.leader.exit_code() == 1
        assert "max_concurrent_tasks" in group.leader.of(RunnerTerminationError)[0].message


def test_a_second_configure_is_a_violation() -> None:
    with running() as group:
        group.wait_for_phase(Phase.READY)
        group.leader.send(Configure(0, 1, 1, SCRIPTED, "", "tensor", "none", 1, 1, 1.0))
        assert group.leader.exit_code() == 1
        assert group.leader.of(RunnerTerminationError)[0].type_name.endswith("ProtocolViolation")
