# ruff: noqa: E501, PLR0917 - real messages are long
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import (
    Condemnation,
    DeathEvidence,
    ExitStatus,
    OperatingSystem,
    RunnerTerminationError,
    StreamReport,
    SupervisorFinding,
)
from diagnostics.incident import Confidence, Diagnosis
from diagnostics.phase import Phase

LINUX = OperatingSystem.LINUX
ABORTING = "[ring] Too many send/recv errors. Aborting...\n"
CLOSED = (
    "[ring] Socket 3 was closed by the peer\n" * 10 + "[ring] Too many send/recv errors. Failing pending tasks...\n"
)
METAL_OOM = (
    "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command buffer execution "
    "failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)\n"
)
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nValueError: synthetic\n'


def stream(text: str) -> StreamReport:
    collector = DiagnosticCollector(LINUX)
    collector.feed(text.encode())
    return collector.finish()


def raised(type_name: str, message: str, traceback: str = "") -> RunnerTerminationError:
    text = (
        traceback
        or f'Traceback (most recent call last):\n  File "r.py", line 1, in f\n    g()\n{type_name}: {message}\n'
    )
    return RunnerTerminationError(type_name, message, f"{type_name}({message!r})", text)


def diagnose(
    stderr: str = "",
    *,
    signal: int | None = None,
    code: int | None = None,
    error: RunnerTerminationError | None = None,
    finding: SupervisorFinding | None = None,
    sent: tuple[int, ...] = (),
    phase: Phase = Phase.RUNNING,
    tasks: int = 0,
) -> Diagnosis:
    status = None if signal is None and code is None else ExitStatus(code=code, signal=signal)
    return classify(
        DeathEvidence(LINUX, phase, status, stream(stderr), error, finding, signals_sent=sent, tasks_in_flight=tasks)
    )


@pytest.mark.parametrize(
    ("signal", "cause"),
    [(11, Cause.SEGFAULT), (7, Cause.BUS_ERROR), (6, Cause.ABORT_OTHER), (9, Cause.KILLED_NO_STDERR),
     (15, Cause.KILLED_NO_STDERR), (2, Cause.KILLED_NO_STDERR), (8, Cause.ABORT_OTHER), (13, Cause.UNKNOWN)],
)  # fmt: skip
def test_an_exit_by_signal_without_words(signal: int, cause: Cause) -> None:
    diagnosis = diagnose(signal=signal)
    assert diagnosis.cause is cause
    assert not diagnosis.peer_loss


def test_sigkill_sentence() -> None:
    assert diagnose(signal=9).message == "was killed by SIGKILL from outside Ringwarden; it left no message"


def test_sigkill_after_symptoms_only_is_a_kill() -> None:
    diagnosis = diagnose(CLOSED, signal=9)
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.KILLED_NO_STDERR, Confidence.CERTAIN)


def test_sigkill_after_a_handled_exception_is_a_kill() -> None:
    assert diagnose(TRACEBACK, signal=9).cause is Cause.KILLED_NO_STDERR


def test_sigkill_after_a_real_primary_line_is_that_but_only_likely() -> None:
    diagnosis = diagnose(METAL_OOM, signal=9)
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.METAL_OUT_OF_MEMORY, Confidence.LIKELY)


def test_metal_abort() -> None:
    diagnosis = diagnose(METAL_OOM, signal=6)
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.METAL_OUT_OF_MEMORY, Confidence.CERTAIN)


def test_sigabrt_after_the_ring_gave_up_is_the_ring_s() -> None:
    assert diagnose(ABORTING, signal=6).cause is Cause.RING_ABORT
    assert (
        diagnose("[ring] Receiving from socket 5 failed with errno 104\n" + ABORTING, signal=6).cause
        is Cause.RING_ABORT
    )


def test_a_signal_of_ours_is_ours() -> None:
    assert diagnose(signal=9, sent=(15, 9)).cause is Cause.KILLED_BY_SUPERVISOR
    assert diagnose(signal=15, sent=(15,)).cause is Cause.KILLED_BY_SUPERVISOR
    assert diagnose(code=1, sent=(15,)).cause is Cause.KILLED_BY_SUPERVISOR


def test_a_signal_that_is_not_ours_is_not() -> None:
    assert diagnose(signal=11, sent=()).cause is Cause.SEGFAULT


def test_a_rank_that_we_killed_because_it_hung_after_losing_a_peer_is_a_victim_of_that() -> None:
    diagnosis = diagnose(ABORTING, signal=9, sent=(15, 9))
    assert diagnosis.cause is Cause.RING_ABORT
    assert diagnosis.peer_loss


def test_a_finding_explains_our_own_signals() -> None:
    finding = SupervisorFinding(Cause.PROTOCOL_VIOLATION, "sent a frame of 2 GB")
    diagnosis = diagnose(TRACEBACK, signal=9, sent=(9,), finding=finding)
    assert (diagnosis.cause, diagnosis.message) == (Cause.PROTOCOL_VIOLATION, "sent a frame of 2 GB")


def test_a_stall_after_an_old_handled_traceback_is_a_stall() -> None:
    finding = SupervisorFinding(Cause.STALLED, "made no progress for 60 s")
    assert diagnose(TRACEBACK, signal=9, sent=(9,), finding=finding).cause is Cause.STALLED


def test_a_stall_of_a_rank_that_lost_its_peer_is_that() -> None:
    finding = SupervisorFinding(Cause.STALLED, "made no progress for 60 s")
    diagnosis = diagnose(ABORTING, finding=finding)
    assert diagnosis.peer_loss
    assert diagnosis.cause is Cause.RING_ABORT


def test_a_late_start_with_a_printed_cause_is_that_cause() -> None:
    finding = SupervisorFinding(Cause.START_TIMEOUT, "was not ready after 120 s")
    text = TRACEBACK.replace("ValueError: synthetic", "OSError: [Errno 98] Address already in use")
    assert diagnose(text, finding=finding, phase=Phase.CONNECTING).cause is Cause.PORT_IN_USE


def test_the_runner_s_own_exception() -> None:
    diagnosis = diagnose(code=1, error=raised("ValueError", "synthetic"))
    assert diagnosis.cause is Cause.PYTHON_EXCEPTION_OTHER
    assert diagnosis.message == "raised ValueError; its message was: synthetic"


def test_a_metal_error_raised_by_mlx_0_32() -> None:
    message = "[METAL] Command buffer execution failed: Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)."
    assert diagnose(code=1, error=raised("RuntimeError", message)).cause is Cause.METAL_GPU_TIMEOUT


def test_a_wrapped_termination_error_is_looked_through() -> None:
    chain = (
        'Traceback (most recent call last):\n  File "m.py", line 1, in f\n    g()\nOSError: [Errno 28] No space left on device\n\n'
        "The above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "r.py", line 1, in f\n    g()\nrunner.errors.EngineError: step failed\n'
    )
    assert diagnose(code=1, error=raised("runner.errors.EngineError", "step failed", chain)).cause is Cause.DISK_FULL


def test_a_lost_ring_peer_is_a_peer_loss_and_stderr_says_how() -> None:
    diagnosis = diagnose(CLOSED, code=1, error=raised("RuntimeError", "[ring] connection to a peer was lost"))
    assert diagnosis.peer_loss
    assert diagnosis.cause is Cause.RING_PEER_CLOSED
    alone = diagnose(code=1, error=raised("RuntimeError", "[ring] connection to a peer was lost"))
    assert (alone.cause, alone.peer_loss, alone.message) == (
        Cause.RING_ABORT,
        True,
        "lost its ring connection to a peer",
    )


def test_an_own_exception_beats_the_ring_noise_of_leaving() -> None:
    leaving = "[ring] Sending to socket 4 failed with errno 9\n" * 10
    diagnosis = diagnose(leaving, code=1, error=raised("ValueError", "synthetic"))
    assert (diagnosis.cause, diagnosis.peer_loss) == (Cause.PYTHON_EXCEPTION_OTHER, False)


def test_a_rank_that_closed_its_own_socket_is_no_victim() -> None:
    diagnosis = diagnose("[ring] Sending to socket 4 failed with errno 9\n" * 10, code=1)
    assert not diagnosis.peer_loss


def test_an_empty_termination_error_is_still_an_exception() -> None:
    assert diagnose(code=1, error=RunnerTerminationError("", "", "", "")).cause is Cause.PYTHON_EXCEPTION_OTHER


def test_exit_code_zero() -> None:
    early = diagnose(code=0, tasks=1)
    assert (early.cause, early.message) == (Cause.EXITED_EARLY, "exited with code 0; work was in flight")
    assert diagnose(code=0, phase=Phase.LOADING).cause is Cause.EXITED_EARLY
    assert diagnose(code=0, phase=Phase.SHUTDOWN).cause is Cause.KILLED_BY_SUPERVISOR


def test_exit_code_without_words_is_honestly_unknown() -> None:
    diagnosis = diagnose(code=3)
    assert (diagnosis.cause, diagnosis.confidence) == (Cause.UNKNOWN, Confidence.POSSIBLE)
    assert diagnosis.message == "exited with code 3; it left no message"


def test_a_faulthandler_dump() -> None:
    dump = 'Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n  File "a.py", line 5 in gen\n'
    diagnosis = diagnose(dump, signal=11)
    assert (diagnosis.cause, diagnosis.evidence_line) == (Cause.SEGFAULT, 0)


TEXTS = st.sampled_from(["", ABORTING, CLOSED, METAL_OOM, TRACEBACK, "noise\n", "zsh: killed     python\n"]) | st.text(
    max_size=80
)


@settings(deadline=None, max_examples=300)
@given(
    stderr=TEXTS,
    status=st.none()
    | st.builds(ExitStatus, code=st.none() | st.integers(-300, 300), signal=st.none() | st.integers(-2, 200)),
    error=st.none() | st.builds(RunnerTerminationError, TEXTS, TEXTS, TEXTS, TEXTS),
    finding=st.none() | st.builds(SupervisorFinding, st.sampled_from(list(Cause)), TEXTS),
    sent=st.lists(st.integers(-1, 70), max_size=3).map(tuple),
    phase=st.sampled_from(list(Phase)),
    system=st.sampled_from(list(OperatingSystem)),
)
def test_it_always_has_an_answer(
    stderr: str,
    status: ExitStatus | None,
    error: RunnerTerminationError | None,
    finding: SupervisorFinding | None,
    sent: tuple[int, ...],
    phase: Phase,
    system: OperatingSystem,
) -> None:
    collector = DiagnosticCollector(system)
    collector.feed(stderr.encode("utf-8", "replace"))
    diagnosis = classify(DeathEvidence(system, phase, status, collector.finish(), error, finding, sent, 1))
    assert diagnosis.message or finding is not None


@pytest.mark.parametrize(("lines_before", "cause"), [(0, Cause.STALLED), (20, Cause.RING_PEER_CLOSED)])
def test_only_what_was_said_before_the_decision_explains_a_stall(lines_before: int, cause: Cause) -> None:
    evidence = DeathEvidence(
        LINUX,
        Phase.RUNNING,
        ExitStatus(signal=9),
        stream(CLOSED),
        termination_error=raised("RuntimeError", "[ring] Socket 3 was closed by the peer"),
        finding=SupervisorFinding(Cause.STALLED, "made no progress for 60 s"),
        signals_sent=(9,),
        condemned=Condemnation(1.0, lines_before, had_raised=False),
    )
    assert classify(evidence).cause is cause
