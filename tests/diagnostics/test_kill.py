"""SIGKILL told apart: each kind of evidence, its sentence and its confidence."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem
from diagnostics.incident import Confidence, DeathCertificate, Diagnosis
from diagnostics.kill import FROM_OUTSIDE_ADVICE, OUT_OF_MEMORY_ADVICE
from diagnostics.memory_evidence import FootprintSample, MemoryEvidence, MemoryKill
from diagnostics.phase import Phase
from diagnostics.verdict import fold, is_final

GIB = 2**30
OURS = MemoryKill(4242, "python3", "Out of memory: Killed process 4242 (python3) total-vm:1kB", 11 * GIB)
STRANGER = MemoryKill(77, "browser", "Out of memory: Killed process 77 (browser) total-vm:1kB", GIB)
LOG, COUNTER = "the kernel log (/dev/kmsg)", "the out-of-memory counter of its cgroup (/c/memory.events)"


def found(**fields: Any) -> MemoryEvidence:
    return MemoryEvidence(pid=4242, name="python3", **fields)


def samples(*sizes_gib: float, available_gib: float | None = 20.0) -> tuple[FootprintSample, ...]:
    spare = None if available_gib is None else int(available_gib * GIB)
    last = len(sizes_gib) - 1
    return tuple(FootprintSample(last - at + 0.5, int(size * GIB), spare) for at, size in enumerate(sizes_gib))


def diagnose(memory: MemoryEvidence | None, *, stderr: bytes = b"", **fields: Any) -> Diagnosis:
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    collector.feed(stderr)
    evidence = DeathEvidence(
        operating_system=OperatingSystem.LINUX,
        phase=fields.pop("phase", Phase.RUNNING),
        exit_status=ExitStatus(signal=fields.pop("signal", 9)),
        stderr=collector.finish(),
        memory=memory,
        **fields,
    )
    return classify(evidence)


# Each row: the evidence, how sure, and words of the sentence.
READINGS: dict[str, tuple[MemoryEvidence, Confidence, str]] = {
    "named": (
        found(kills=(OURS,), counted_kills=1, looked_at=(LOG, COUNTER)),
        Confidence.CERTAIN,
        ", because memory ran out; the system names it: pid 4242, with 11.0 GiB of memory",
    ),
    "named in another namespace": (
        found(kills=(MemoryKill(31, "python3", "words"),), pids_agree=False),
        Confidence.LIKELY,
        ", most likely because memory ran out; the system killed a process named python3",
    ),
    "counted": (
        found(counted_kills=1, looked_at=(COUNTER,)),
        Confidence.LIKELY,
        ", most likely because memory ran out; the out-of-memory counter of its cgroup rose by 1",
    ),
    "counted beside a stranger": (
        found(kills=(STRANGER,), counted_kills=2, looked_at=(LOG, COUNTER)),
        Confidence.LIKELY,
        "rose by 2",
    ),
    "full": (
        found(footprint=samples(2, 9, 15), limit_bytes=16 * GIB),
        Confidence.LIKELY,
        ", most likely because memory ran out; it held 15.0 GiB of 16.0 GiB just before",
    ),
    "nothing left": (
        found(footprint=samples(5, 5, available_gib=0.2), limit_bytes=16 * GIB),
        Confidence.LIKELY,
        "it held 5.0 GiB of 16.0 GiB just before, and the machine had 205 MiB left",
    ),
    "full, and the kernel denies it": (
        found(footprint=samples(2, 9, 15), limit_bytes=16 * GIB, looked_at=(LOG,)),
        Confidence.POSSIBLE,
        "the kernel itself tells of no kill",
    ),
    "grown": (
        found(footprint=samples(2, 4, 6), limit_bytes=16 * GIB, no_answer=(LOG,)),
        Confidence.POSSIBLE,
        ", possibly because memory ran out; its memory had grown by 4.0 GiB in 2 s",
    ),
    "somebody": (
        found(footprint=samples(2, 4, 6), limit_bytes=16 * GIB, looked_at=(LOG, COUNTER)),
        Confidence.CERTAIN,
        "; it left no message; who sent it is not known, but the kernel says that it was not for want of memory",
    ),
    "a stranger was killed": (
        found(kills=(STRANGER,), counted_kills=1, looked_at=(LOG, COUNTER)),
        Confidence.CERTAIN,
        "who sent it is not known",
    ),
    "unknown": (found(no_answer=(LOG, COUNTER)), Confidence.POSSIBLE, "who sent it is not known, nor whether memory"),
    "an old sample": (
        found(footprint=(FootprintSample(30.0, 15 * GIB),), limit_bytes=16 * GIB),
        Confidence.POSSIBLE,
        "nor whether memory ran out",
    ),
}


@pytest.mark.parametrize("case", READINGS)
def test_each_reading_says_what_is_known_and_how_sure(case: str) -> None:
    memory, confidence, words = READINGS[case]
    diagnosis = diagnose(memory)
    assert diagnosis.cause is Cause.KILLED_NO_STDERR
    assert diagnosis.message.startswith("was killed by SIGKILL from outside Ringwarden")
    assert words in diagnosis.message
    assert diagnosis.confidence is confidence


def test_out_of_memory_has_its_own_advice_and_a_model_that_does_not_fit_is_not_tried_again() -> None:
    memory = READINGS["named"][0]
    assert diagnose(memory).advice == OUT_OF_MEMORY_ADVICE
    assert diagnose(memory).retryable
    assert not diagnose(memory, phase=Phase.LOADING).retryable
    assert diagnose(READINGS["grown"][0], phase=Phase.LOADING).retryable
    assert diagnose(READINGS["somebody"][0]).advice == FROM_OUTSIDE_ADVICE


@pytest.mark.parametrize("advice", [OUT_OF_MEMORY_ADVICE, FROM_OUTSIDE_ADVICE])
def test_the_docs_give_the_same_advice(advice: str) -> None:
    assert advice in (Path(__file__).parents[2] / "docs" / "causes" / "process.md").read_text()


def test_the_evidence_shows_the_footprint_the_record_and_where_we_looked() -> None:
    memory = found(
        kills=(STRANGER, OURS),
        counted_kills=1,
        footprint=samples(*range(1, 61)),
        limit_bytes=64 * GIB,
        looked_at=(LOG,),
    )
    lines = diagnose(memory, stderr=b"loading shard 3\n").evidence
    assert lines[0] == OURS.words
    assert STRANGER.words in lines[1]
    assert "out-of-memory counter of its cgroup: rose by 1" in lines
    (series,) = (line for line in lines if line.startswith("memory it held: "))
    assert series.endswith("60.0 GiB 0.5 s before the end")
    assert series.count("GiB") == 6
    assert "memory that there is: 64.0 GiB" in lines
    assert f"looked at: {LOG}" in lines
    assert lines[-1] == "loading shard 3"


def test_our_own_signal_stays_ours() -> None:
    diagnosis = diagnose(READINGS["named"][0], signals_sent=(15, 9))
    assert diagnosis.cause is Cause.KILLED_BY_SUPERVISOR
    assert "SIGKILL" in diagnosis.message


def test_a_fatal_memory_line_stays_its_own_cause() -> None:
    code = b"(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
    line = b"[METAL] Command buffer execution failed: Insufficient Memory " + code
    assert diagnose(READINGS["named"][0], stderr=line + b"\n").cause is Cause.METAL_OUT_OF_MEMORY


def test_other_signals_and_unwatched_deaths_are_told_as_before() -> None:
    assert diagnose(READINGS["named"][0], signal=15).message.startswith("was killed by SIGTERM from outside")
    assert diagnose(None).message == "was killed by SIGKILL from outside Ringwarden; it left no message"


@pytest.mark.parametrize("case", READINGS)
def test_the_verdict_names_the_killed_rank_at_once_however_sure_the_reason_is(case: str) -> None:
    diagnosis = diagnose(READINGS[case][0])
    certificate = DeathCertificate(
        rank=1, generation=1, node="a", pid=4242, phase=Phase.RUNNING, diagnosis=diagnosis,
        exit_status=ExitStatus(signal=9), died_at_s=1.0, memory=READINGS[case][0],
    )  # fmt: skip
    assert is_final([certificate], 4)
    verdict = fold([certificate], 4)
    assert (verdict.rank, verdict.confidence, verdict.advice) == (1, diagnosis.confidence, diagnosis.advice)
    assert verdict.sentence.startswith("Rank 1 was killed by SIGKILL from outside Ringwarden")
    assert msgspec.json.decode(msgspec.json.encode(certificate), type=DeathCertificate) == certificate
