"""Labelled logs and captures. What is kept beside the repository, not in it, is visibly skipped where absent."""

import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.cause import Cause
from tests.diagnostics.capture_truth import GROUPS, SINGLES
from tests.diagnostics.captures import Capture, diagnosis_of_single, rank_logs, read_captures, verdict_over

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LABELLED, CAPTURES = DATA / "stderr_dev.jsonl", DATA / "captures.jsonl"
RINGS = ROOT / "tests" / "corpora" / "rings" / "captures.jsonl"
without_captures = pytest.mark.skipif(not CAPTURES.exists(), reason=f"no captures at {CAPTURES.name}")


@pytest.mark.skipif(not LABELLED.exists(), reason=f"no labelled logs at {LABELLED.name}")
def test_the_labelled_logs_reach_all_three_bars() -> None:
    score = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "score_corpus"), str(LABELLED)],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert score.returncode == 0, score.stdout


def of_scenario(path: Path, scenario: str) -> list[Capture]:
    return [one for one in read_captures(path) if one["scenario"] == scenario]


def check_group(capture: Capture) -> None:
    truth, outcome = GROUPS[capture["scenario"]], verdict_over(capture)
    verdict = outcome.verdict
    if truth is None:
        assert verdict is None, (capture["id"], verdict)
        assert set(outcome.ranks.values()) == {None}
        return
    assert verdict is not None, capture["id"]
    assert verdict.rank == truth.rank, (capture["id"], verdict)
    assert verdict.kind in truth.kinds, (capture["id"], verdict)
    assert truth.suspects <= set(verdict.suspects), (capture["id"], verdict)
    assert "while generating" not in verdict.sentence
    assert "Ringwarden" not in verdict.sentence
    assert str(verdict.rank) in verdict.sentence or verdict.rank is None


@without_captures
@pytest.mark.parametrize("scenario", sorted(GROUPS))
def test_the_verdict_over_a_captured_group_is_the_truth(scenario: str) -> None:
    captures = of_scenario(CAPTURES, scenario)
    assert captures
    for capture in captures:
        check_group(capture)


@without_captures
@pytest.mark.parametrize("scenario", sorted(SINGLES))
def test_the_diagnosis_of_a_captured_process_is_the_truth(scenario: str) -> None:
    captures = of_scenario(CAPTURES, scenario)
    assert captures
    for capture in captures:
        diagnosis = diagnosis_of_single(capture)
        assert diagnosis.cause in SINGLES[scenario], (capture["id"], diagnosis)


@without_captures
def test_no_capture_is_without_a_truth() -> None:
    captures = read_captures(CAPTURES)
    assert {one["scenario"] for one in captures if one["ranks"]} == {*GROUPS, *SINGLES}


@without_captures
def test_who_was_killed_is_named_in_every_capture() -> None:
    killed = 0
    for capture in read_captures(CAPTURES):
        logs = rank_logs(capture) if len(capture["ranks"]) > 1 else []
        ranks = [one.rank for one in logs if one.exit_status is not None and one.exit_status.signal in (2, 9, 15)]
        if ranks:
            killed += 1
            verdict = verdict_over(capture).verdict
            assert verdict is not None
            assert ([verdict.rank], verdict.kind) == (ranks, Cause.KILLED_NO_STDERR), capture["id"]
    assert killed > 50


@pytest.mark.parametrize("capture", read_captures(RINGS), ids=lambda one: one["id"])
def test_the_verdict_over_a_kept_ring_is_the_truth(capture: Capture) -> None:
    check_group(capture)
