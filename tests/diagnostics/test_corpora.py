"""Labelled logs and captures that are kept beside the repository, not in it; visibly skipped where absent."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.phase import Phase
from diagnostics.verdict import fold

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LABELLED, CAPTURES = DATA / "stderr_dev.jsonl", DATA / "captures.jsonl"


@pytest.mark.skipif(not LABELLED.exists(), reason=f"no labelled logs at {LABELLED.name}")
def test_the_labelled_logs_reach_all_three_bars() -> None:
    score = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "score_corpus"), str(LABELLED)],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert score.returncode == 0, score.stdout


def status_of(said: object) -> ExitStatus | None:
    found = re.match(r"signal (\d+)", str(said))
    if found:
        return ExitStatus(signal=int(found[1]))
    return ExitStatus(code=int(str(said))) if isinstance(said, int) else None


def certificates(capture: dict) -> list[DeathCertificate]:
    made: list[DeathCertificate] = []
    for rank, text in capture["ranks"].items():
        said = capture["exits"][rank]["exit"]
        collector = DiagnosticCollector(OperatingSystem.LINUX)
        collector.feed(text.encode())
        report, status = collector.finish(), status_of(said)
        finding = SupervisorFinding(Cause.STALLED, "made no progress") if said is None else None
        evidence = DeathEvidence(OperatingSystem.LINUX, Phase.RUNNING, status, report, finding=finding)
        diagnosis = classify(evidence)
        made.append(
            DeathCertificate(int(rank), 1, "n", 1, Phase.RUNNING, diagnosis, status, 0.0, stderr_tail=report.tail)
        )
    return made


@pytest.mark.skipif(not CAPTURES.exists(), reason=f"no captures at {CAPTURES.name}")
def test_the_verdict_over_real_rings_names_the_killed_rank_or_says_that_it_cannot() -> None:
    killed = 0
    for line in CAPTURES.read_text().split("\n"):
        capture = json.loads(line) if line else {}
        if capture.get("fault_rank") is None or not isinstance(capture.get("exits"), dict):
            continue
        verdict = fold(certificates(capture), len(capture["ranks"]))
        fault = int(capture["fault_rank"])
        assert verdict.rank == fault or (verdict.rank is None and fault in verdict.suspects), capture["id"]
        if capture["fault_signal"] in ("SIGKILL", "SIGTERM", "SIGINT"):
            killed += 1
            assert (verdict.rank, verdict.kind) == (fault, Cause.KILLED_NO_STDERR), capture["id"]
    assert killed > 30
