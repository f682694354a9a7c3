"""What is made of facts about a machine, for both systems: the facts are made up, the judgements are the real ones."""

from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import OperatingSystem
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.doctor.disk import MODEL_DISK, STATE_DISK, DiskFacts, judge_disk
from supervisor.doctor.finding import CheckState, exit_code_of, failed, ok, skipped, warning
from supervisor.doctor.limits import FileLimit, judge_file_limit
from supervisor.doctor.memory import (
    MemoryFacts,
    SystemFacts,
    judge_gpu_memory,
    judge_memory,
    judge_system,
)
from supervisor.doctor.ports import API, PortFacts, PortOwner, judge_port
from supervisor.doctor.power import judge_power
from supervisor.doctor.python import PythonFacts, judge_python
from supervisor.doctor.running import judge_incident
from supervisor.doctor.system_tool import ToolAnswer
from supervisor.exit_code import ExitCode
from tests.supervisor.doctor.judging import OK, SKIPPED, WARNING, outcome

DARWIN, LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX
GIB = 1024**3


@pytest.mark.parametrize(
    ("facts", "expected", "words"),
    [
        (PythonFacts(DARWIN, (3, 12, 1), "CPython", "arm64", "/p", "Apple M4"), OK, ""),
        (PythonFacts(DARWIN, (3, 12, 1), "CPython", "x86_64", "/p", "Apple M4"), (CheckState.FAILED, 78), "Rosetta"),
        (
            PythonFacts(DARWIN, (3, 12, 1), "CPython", "x86_64", "/p", "Intel(R) Core(TM)"),
            (CheckState.FAILED, 78),
            "no MLX",
        ),
        (PythonFacts(LINUX, (3, 11, 0), "CPython", "aarch64", "/p"), OK, ""),
        (PythonFacts(LINUX, (3, 11, 0), "CPython", "riscv64", "/p"), (CheckState.FAILED, 78), "no MLX for riscv64"),
        (PythonFacts(LINUX, (3, 10, 9), "CPython", "x86_64", "/p"), (CheckState.FAILED, 78), "3.11"),
        (PythonFacts(LINUX, (3, 14, 0), "CPython", "x86_64", "/p", None, True), WARNING, "free-threaded"),
    ],
)
def test_python(facts: PythonFacts, expected: tuple[CheckState, int], words: str):
    finding = judge_python(facts)
    assert outcome(finding) == expected
    assert words in finding.diagnosis


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (SystemFacts(DARWIN, "26.2", "Apple M4 Max"), OK),
        (SystemFacts(DARWIN, "13.6.1", "Apple M1"), (CheckState.FAILED, 78)),
        (SystemFacts(DARWIN, "", ""), SKIPPED),
        (SystemFacts(LINUX, "6.1.0", "x86_64"), OK),
    ],
)
def test_system(facts: SystemFacts, expected: tuple[CheckState, int]):
    assert outcome(judge_system(facts)) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (MemoryFacts(16 * GIB, 8 * GIB), OK),
        (MemoryFacts(16 * GIB, 8 * GIB, 16 * GIB), OK),
        (MemoryFacts(16 * GIB, GIB // 2), WARNING),
        (MemoryFacts(16 * GIB, GIB // 8), (CheckState.FAILED, 75)),
        (MemoryFacts(16 * GIB, 8 * GIB, GIB // 2), WARNING),
    ],
)
def test_memory(facts: MemoryFacts, expected: tuple[CheckState, int]):
    finding = judge_memory(facts)
    assert outcome(finding) == expected
    limited = facts.limit_bytes is not None and facts.limit_bytes < facts.total_bytes
    assert any("cgroup" in line for line in finding.evidence) == limited


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, SKIPPED),
        (ToolAnswer(output="0"), OK),
        (ToolAnswer(output="49152"), OK),
        (ToolAnswer(output="64512"), WARNING),
        (ToolAnswer(output="8192"), WARNING),
        (ToolAnswer(output="unknown oid"), SKIPPED),
        (ToolAnswer(problem="there is no sysctl here"), SKIPPED),
    ],
)
def test_the_memory_that_metal_may_wire_on_64_gib(answer: ToolAnswer | None, expected: tuple[CheckState, int]):
    assert outcome(judge_gpu_memory(answer, 64 * GIB)) == expected


@pytest.mark.parametrize(
    ("soft", "hard", "is_head", "expected"),
    [
        (256, None, False, OK),
        (256, None, True, OK),
        (128, None, False, (CheckState.FAILED, 78)),
        (256, 512, True, WARNING),
        (None, None, True, OK),
    ],
)
def test_open_files(soft: int | None, hard: int | None, is_head: bool, expected: tuple[CheckState, int]):
    assert outcome(judge_file_limit(FileLimit(soft, hard), is_head=is_head)) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (DiskFacts(Path("/s"), 100 * GIB, 50 * GIB, 1000), OK),
        (DiskFacts(Path("/s"), 100 * GIB, GIB // 2, 1000), WARNING),
        (DiskFacts(Path("/s"), 100 * GIB, 0, 1000), (CheckState.FAILED, 69)),
        (DiskFacts(Path("/s"), 100 * GIB, 50 * GIB, 0), (CheckState.FAILED, 69)),
        (DiskFacts(Path("/s"), problem="/s: No such device"), SKIPPED),
    ],
)
@pytest.mark.parametrize("check", [STATE_DISK, MODEL_DISK])
def test_disks(check: str, facts: DiskFacts, expected: tuple[CheckState, int]):
    assert outcome(judge_disk(check, facts, GIB)) == expected


def test_a_port_is_free_our_own_daemons_or_a_strangers():
    taken = PortFacts(API, "127.0.0.1", 52415, "--port", "port 52415 is taken", "...", True, PortOwner(7, "nginx"))
    assert outcome(judge_port(PortFacts(API, "127.0.0.1", 52415, "--port"), None)) == OK
    assert outcome(judge_port(taken, 7)) == OK
    finding = judge_port(taken, 8)
    assert outcome(finding) == (CheckState.FAILED, 69)
    assert "pid 7 (nginx)" in finding.evidence[0]
    unknown = judge_port(PortFacts(API, "127.0.0.1", 52415, "--port", "port 52415 is taken", "...", True), None)
    assert "does not tell who" in unknown.evidence[0]
    assert "lsof" in unknown.remedy
    wrong = PortFacts(API, "10.9.9.9", 52415, "--port", "10.9.9.9 is not an address of this machine", "Use 127.0.0.1.")
    assert outcome(judge_port(wrong, None)) == (CheckState.FAILED, 78)


@pytest.mark.parametrize(
    ("text", "expected", "evidence"),
    [
        ("Currently in use:\n standby 1\n sleep                0 (sleep prevented by caffeinate)\n", OK, "sleep 0"),
        (" displaysleep         10\n disksleep 10\n sleep                1\n", WARNING, "sleep 1"),
        (" displaysleep         10\n", SKIPPED, ""),
        ("System-wide power settings:\n SleepDisabled\t\t1\nCurrently in use:\n sleep  1\n", OK, "SleepDisabled 1"),
        ("System-wide power settings:\n SleepDisabled\t\t0\nCurrently in use:\n sleep  1\n", WARNING, "sleep 1"),
    ],
)
def test_sleep(text: str, expected: tuple[CheckState, int], evidence: str):
    finding = judge_power(ToolAnswer(output=text))
    assert outcome(finding) == expected
    assert evidence in " ".join(finding.evidence)


def test_an_incident_is_judged_by_its_age():
    incident = Incident(
        incident_id="inc-1", occurred_at=1000.0, node="n", rank=1, generation=1, cause=Cause.SEGFAULT,
        phase=Phase.RUNNING, confidence=Confidence.CERTAIN, message="Rank 1 crashed.", advice="Update.", retryable=True,
    )  # fmt: skip
    recent = judge_incident(incident, 1000.0 + 7200)
    assert outcome(recent) == WARNING
    assert "2 hours ago" in recent.evidence[0]
    assert recent.remedy == "ringwarden why inc-1"
    assert outcome(judge_incident(incident, 1000.0 + 3 * 86_400)) == OK
    assert outcome(judge_incident("it is broken", 0.0)) == SKIPPED


def test_the_worst_failure_decides_the_exit_code():
    config = failed("a", [], "", "", ExitCode.CONFIG)
    unavailable = failed("b", [], "", "", ExitCode.UNAVAILABLE)
    temporary = failed("c", [], "", "", ExitCode.TEMPORARY)
    fine = [ok("d"), skipped("e", "why"), warning("f", [], "", "")]
    assert exit_code_of(fine) == 0
    assert exit_code_of([*fine, temporary]) == 75
    assert exit_code_of([*fine, temporary, unavailable]) == 69
    assert exit_code_of([unavailable, config, temporary]) == 78


def test_evidence_is_bounded():
    finding = ok("x", *(["y" * 10_000] * 1000))
    assert len(finding.evidence) == 12
    assert max(map(len, finding.evidence)) == 400
