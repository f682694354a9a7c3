"""Whatever ends a runner becomes one frame, the last one, and a traceback on stderr; what cannot, an exit status."""

import os
import signal
from typing import Any

import pytest

from diagnostics.evidence import RunnerTerminationError
from diagnostics.phase import Phase
from diagnostics.termination import describe
from tests.runner.harness import GREEDY, running
from transports.messages import RejectionCode, SamplingParameters, TaskRejected, TokenChunk

LONG = SamplingParameters(temperature=0.0, max_tokens=3000, ignore_eos=True)


@pytest.mark.parametrize(
    ("exception", "type_name"),
    [
        ("RuntimeError", "RuntimeError"),
        ("SystemExit", "SystemExit"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("GeneratorExit", "GeneratorExit"),
        ("MemoryError", "MemoryError"),
        ("RecursionError", "RecursionError"),
        ("ExceptionGroup", "ExceptionGroup"),
        ("unprintable", "tests.faults.actions._Unprintable"),
    ],
)
def test_every_kind_of_exception_is_told_once_and_last(exception: str, type_name: str) -> None:
    with running(faults=[{"at": "step", "step": 2, "action": "raise", "exception": exception}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        assert group.leader.exit_code() == 1
        error = group.leader.events[-1]
        assert isinstance(error, RunnerTerminationError)
        assert error.type_name == type_name
        assert error.message != "" or exception in ("SystemExit", "KeyboardInterrupt")
        if exception != "unprintable":
            assert "Traceback" in error.traceback
            assert "Traceback" in group.leader.error_text()
        if exception == "ExceptionGroup":
            assert "ValueError: first" in error.traceback
        assert len(group.leader.of(RunnerTerminationError)) == 1
        assert group.leader.violation is None


@pytest.mark.parametrize("place", ["import", "connect", "load", "warm_up", "step", "close"])
def test_an_exception_anywhere_is_told(place: str) -> None:
    with running(faults=[{"at": place, "action": "raise", "message": f"broken at {place}"}]) as group:
        if place in ("step", "close"):
            group.wait_for_phase(Phase.READY)
            group.start("a")
        if place == "close":
            group.finish("a")
            assert group.shut_down() == [1]
        assert group.leader.exit_code() == 1
        assert group.leader.of(RunnerTerminationError)[0].message == f"broken at {place}"


@pytest.mark.parametrize(
    ("engine", "type_name"),
    [
        ("no.such.module:Engine", "ModuleNotFoundError"),
        ("runner.engine:NoSuchEngine", "runner.engine.EngineNotFound"),
        ("runner.engine:load_engine", "runner.engine.EngineNotFound"),
        ("json", "runner.engine.EngineNotFound"),
    ],
)
def test_an_engine_that_cannot_be_had_is_told(engine: str, type_name: str) -> None:
    with running(engine=engine) as group:
        assert group.leader.exit_code() == 1
        assert group.leader.of(RunnerTerminationError)[0].type_name == type_name


def test_causes_are_kept_and_everything_is_bounded() -> None:
    def inner() -> None:
        raise OSError(5, "the disk")

    try:
        try:
            inner()
        except OSError as exc:
            raise ValueError("x" * 1_000_000) from exc
    except ValueError as exc:
        error = describe(exc)
    assert "the disk" in error.traceback
    assert max(map(len, (error.message, error.representation, error.traceback))) < 70_000
    assert describe(ValueError("\udc80")).message == "\\udc80"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"action": "exit", "exit_code": 0}, 0),
        ({"action": "exit", "exit_code": 9}, 9),
        ({"action": "sys_exit", "exit_code": 0}, 1),
        ({"action": "sigsegv"}, -signal.SIGSEGV),
        ({"action": "sigabrt", "line": "[ring] Too many send/recv errors. Aborting..."}, -signal.SIGABRT),
        ({"action": "sigkill"}, -signal.SIGKILL),
        ({"action": "sigterm"}, -signal.SIGTERM),
    ],
)
def test_other_ends(fault: dict[str, Any], status: int) -> None:
    with running(faults=[{"at": "step", "step": 3, **fault}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        assert group.leader.exit_code() == status
        assert len(group.leader.of(TokenChunk)) == 2
        text = group.leader.error_text()
        assert fault.get("line", "") in text
        if fault["action"] in ("sigsegv", "sigabrt"):
            assert "Fatal Python error" in text
            assert "scripted.py" in text
        told = [error.type_name for error in group.leader.of(RunnerTerminationError)]
        assert told == (["SystemExit"] if fault["action"] == "sys_exit" else [])


@pytest.mark.parametrize("on_peer_loss", ["raise", "hang"])
def test_the_loss_of_a_peer_is_like_mlx(on_peer_loss: str) -> None:
    faults = [{"rank": 1, "at": "step", "step": 4, "action": "sigkill"}]
    with running(ranks=3, faults=faults, script={"on_peer_loss": on_peer_loss}) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        assert group.runners[1].exit_code() == -signal.SIGKILL
        if on_peer_loss == "raise":
            for survivor in (group.runners[0], group.runners[2]):
                assert survivor.exit_code() == 1
                assert survivor.events[-1].message == "[ring] connection to a peer was lost"  # type: ignore[union-attr]
                assert "was closed by the peer" in survivor.error_text()
        else:
            for survivor in (group.runners[0], group.runners[2]):
                survivor.pump(0.3)
                assert survivor.process.poll() is None


def test_a_fault_of_one_task_leaves_the_others_alone() -> None:
    faults = [
        {"at": "prepare", "step": 1, "action": "reject_task", "message": "no such thing"},
        {"at": "prepare", "step": 2, "action": "raise", "message": "a tokenizer bug"},
        {"at": "text", "step": 8, "action": "fail_task", "message": "a detokenizer bug"},
    ]
    with running(ranks=2, faults=faults, script={"token_interval_s": 0.001}) as group:
        group.wait_for_phase(Phase.READY)
        group.start("good", sampling=SamplingParameters(max_tokens=500, ignore_eos=True))
        group.start("refused")
        group.start("broken")
        group.finish("refused", "broken")
        group.start("fails")
        group.finish("good", "fails")
        ends = {name: group.leader.terminals(name) for name in ("good", "refused", "broken", "fails")}
        assert {name: len(end) for name, end in ends.items()} == dict.fromkeys(ends, 1)
        assert ends["refused"] == [
            TaskRejected("refused", RejectionCode.INVALID_REQUEST, "no such thing", parameter="messages")
        ]
        assert ends["broken"][0].code is RejectionCode.TASK_FAILED
        failed = [end for (end,) in ends.values() if isinstance(end, TaskRejected) and "detokenizer" in end.message]
        assert len(failed) == 1
        assert "a detokenizer bug" in group.leader.error_text()
        group.wait_for_phase(Phase.READY)
        assert group.run("next", sampling=GREEDY)
        assert group.shut_down() == [0, 0]


@pytest.mark.parametrize(
    "action", ["half_frame", "garbage_frame", "oversized_frame", "wrong_generation", "wrong_sequence"]
)
def test_broken_frames_are_what_they_say(action: str) -> None:
    with running(faults=[{"at": "step", "step": 2, "action": action}]) as group:
        group.wait_for_phase(Phase.READY)
        group.start("a", sampling=LONG)
        leader = group.leader
        # Of half a frame too: the bytes of later frames fill the promised length, and that is no envelope.
        leader.wait_for(lambda: leader.violation)
        assert leader.process.poll() is None


def test_noise_and_odd_pipes_do_not_stop_a_runner() -> None:
    actions = ["flood", "long_line", "split_utf8", "print_partial", "grandchild", "daemon", "ignore_signals"]
    faults = [{"at": "step", "step": n, "action": action, "seconds": 2.0} for n, action in enumerate(actions)]
    faults.append({"at": "step", "step": len(actions), "action": "close_stderr"})
    with running(faults=faults) as group:
        group.wait_for_phase(Phase.READY)
        assert group.run("a")
        assert len(group.leader.error_text()) > 1_000_000
        os.kill(group.leader.process.pid, signal.SIGTERM)
        assert group.run("b")
        assert group.shut_down() == [0]


def test_an_unknown_action_is_an_error() -> None:
    with running(faults=[{"action": "explode"}]) as group:
        assert group.leader.exit_code() == 1
        assert "explode" in group.leader.of(RunnerTerminationError)[0].message
