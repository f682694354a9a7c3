"""Real failures of real MLX, provoked by `scripts/capture`: each must be told as what it was.

What happened is known from the scenario, never from what the diagnosis said. See tests/corpora/README.md.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.cause import Cause
from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport
from diagnostics.phase import Phase
from diagnostics.post_mortem import RankLog, examine_group

CORPORA = Path(__file__).parents[1] / "corpora"
NAMES = ("ring", "load", "process", "exceptions", "network", "harmless", "launchers")
NOTHING_WRONG = {Cause.UNKNOWN, Cause.EXITED_EARLY}
"""What is said of a process that wrote no cause: all that is left is how it ended."""


def entries(*, several_ranks: bool) -> Iterator[Any]:
    for name in NAMES:
        for line in (CORPORA / f"{name}.jsonl").read_text(encoding="utf-8").split("\n"):
            entry = json.loads(line) if line else {"ranks": ()}
            if entry["ranks"] and (len(entry["ranks"]) > 1) is several_ranks:
                yield pytest.param(entry, id=entry["id"])


def report_of(said: dict[str, Any]) -> StreamReport:
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    collector.feed(said["stderr"].encode())
    return collector.finish()


def status_of(said: dict[str, Any]) -> ExitStatus | None:
    ended = said["exit"]
    if ended == "alive":
        return None
    return ExitStatus(signal=-ended) if ended < 0 else ExitStatus(code=ended)


@pytest.mark.parametrize("entry", entries(several_ranks=False))
def test_one_process_is_told_as_what_it_was(entry: dict[str, Any]) -> None:
    (said,) = entry["ranks"].values()
    truth = entry["truth"]
    evidence = DeathEvidence(OperatingSystem.LINUX, Phase.RUNNING, status_of(said), report_of(said))
    diagnosis = classify(evidence)
    if truth["kind"] is None:
        assert diagnosis.cause in NOTHING_WRONG
        return
    assert diagnosis.cause.value in truth["kind"].split("|")
    if truth["line"] is not None:
        assert diagnosis.evidence_line == truth["line"]
        assert diagnosis.decisive is not None
        shown = diagnosis.evidence[diagnosis.decisive]
        assert shown
        assert shown[:40] in said["stderr"].split("\n")[truth["line"]]


@pytest.mark.parametrize("entry", entries(several_ranks=True))
def test_a_group_is_told_as_what_it_was(entry: dict[str, Any]) -> None:
    logs = [
        RankLog(int(rank), report_of(said), status_of(said), alive=said["exit"] == "alive")
        for rank, said in entry["ranks"].items()
    ]
    truth, told = entry["truth"], examine_group(logs, OperatingSystem.LINUX)
    if truth["kind"] is None:
        assert told.verdict is None
        return
    assert told.verdict is not None
    assert told.verdict.kind.value in truth["kind"].split("|")
    assert told.verdict.rank == truth["rank"]
    own = None if truth["rank"] is None else told.ranks.get(truth["rank"])
    if truth["line"] is not None:
        assert own is not None
        assert own.evidence_line == truth["line"]
