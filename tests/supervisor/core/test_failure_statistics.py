"""What is counted about failures, by a made-up clock."""

import msgspec
import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import ExitStatus
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis, Incident
from diagnostics.phase import Phase
from supervisor.core.failure_statistics import FailureStatistics
from transports.messages import RunnerFailed

HERE = "here"


def death(
    rank: int = 0, *, cause: Cause = Cause.SEGFAULT, signal: int | None = 11, node: str = HERE, died_at_s: float = 10.0
) -> RunnerFailed:
    diagnosis = Diagnosis(cause, Confidence.CERTAIN, "died", "", retryable=True, peer_loss=False)
    status = ExitStatus(code=0) if signal is None else ExitStatus(signal=signal)
    certificate = DeathCertificate(rank, 1, node, 4711, Phase.RUNNING, diagnosis, status, died_at_s)
    return RunnerFailed(rank, 1, node, incident(cause, certificates=(certificate,)))


def incident(
    cause: Cause = Cause.SEGFAULT, *, incident_id: str = "inc-1", certificates: tuple[DeathCertificate, ...] = ()
) -> Incident:
    return Incident(
        incident_id=incident_id,
        occurred_at=0.0,
        node=HERE,
        rank=0,
        generation=1,
        cause=cause,
        phase=Phase.RUNNING,
        confidence=Confidence.CERTAIN,
        message="",
        advice="",
        retryable=True,
        certificates=certificates,
    )


@pytest.mark.parametrize(
    ("signal", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (None, "none"), (4_000_000, "other"), (-1, "other")]
)
def test_an_exit_is_counted_by_cause_and_signal(signal: int | None, name: str):
    failures = FailureStatistics(HERE)
    failures.runner_failed(death(signal=signal), 10.0)
    assert failures.runner_exits == {(Cause.SEGFAULT, name): 1}


def test_detection_counts_from_the_first_death_to_the_verdict_once():
    failures = FailureStatistics(HERE)
    failures.generation_started(1, 2)
    failures.runner_failed(death(1, died_at_s=10.02), 10.03)
    failures.runner_failed(death(0, died_at_s=10.00), 10.04)
    failures.incident(incident(), 10.05)
    failures.incident(incident(), 11.0)
    assert failures.detect_s.sum == pytest.approx(0.05)
    assert sum(failures.detect_s.counts) == sum(failures.incidents.values()) == 1


def test_another_node_has_another_clock():
    failures = FailureStatistics(HERE)
    failures.generation_started(1, 2)
    failures.runner_failed(death(node="there", died_at_s=3.0), 1000.0)
    failures.incident(incident(), 1000.2)
    assert failures.detect_s.sum == pytest.approx(0.2)


def test_a_recovery_is_counted_once_and_a_restart_for_each_rank():
    failures = FailureStatistics(HERE)
    failures.generation_started(7, 2)
    assert failures.runner_restarts == 0
    for incident_id in ("inc-1", "inc-2"):
        failures.incident(incident(incident_id=incident_id), 10.0)
        recovered = msgspec.structs.replace(incident(incident_id=incident_id), recovered_after_s=4.0)
        failures.incident(recovered, 14.0)
        failures.incident(recovered, 15.0)
    failures.generation_started(8, 2)
    failures.generation_started(9, 3)
    assert failures.recovery_s.sum == pytest.approx(8.0)
    assert failures.incidents == {Cause.SEGFAULT: 2}
    assert failures.runner_restarts == 5


def test_a_stall_is_counted_by_phase():
    failures = FailureStatistics(HERE)
    failures.runner_failed(death(cause=Cause.STALLED, signal=9), 10.0)
    assert failures.stalled == {Phase.RUNNING: 1}


def test_a_stop_is_an_incident_that_was_not_detected():
    failures = FailureStatistics(HERE)
    failures.generation_started(1, 2)
    failures.incident(incident(Cause.KILLED_BY_SUPERVISOR), 10.0)
    assert failures.incidents == {Cause.KILLED_BY_SUPERVISOR: 1}
    assert sum(failures.detect_s.counts) == 0
