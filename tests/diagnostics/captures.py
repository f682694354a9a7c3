"""Captured runs, read as somebody would who collected their logs by hand."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from diagnostics.classify import classify
from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import DeathEvidence, ExitStatus, OperatingSystem, StreamReport
from diagnostics.incident import Diagnosis
from diagnostics.phase import Phase
from diagnostics.post_mortem import PostMortem, RankLog, examine_group

Capture = dict[str, Any]


@cache
def read_captures(path: Path) -> tuple[Capture, ...]:
    return tuple(json.loads(line) for line in path.read_text().splitlines() if line)


def status_of(said: object) -> ExitStatus | None:
    found = re.match(r"signal (\d+)", str(said))
    if found:
        return ExitStatus(signal=int(found[1]))
    return ExitStatus(code=said) if isinstance(said, int) else None


def report_of(text: str) -> StreamReport:
    collector = DiagnosticCollector(OperatingSystem.LINUX)
    collector.feed(text.encode())
    return collector.finish()


def rank_logs(capture: Capture) -> list[RankLog]:
    exits = capture["exits"] or {}
    logs: list[RankLog] = []
    for rank, text in capture["ranks"].items():
        said = exits.get(rank, {}).get("exit")
        logs.append(RankLog(int(rank), report_of(text), status_of(said), alive=rank in exits and said is None))
    return logs


def verdict_over(capture: Capture) -> PostMortem:
    return examine_group(rank_logs(capture), OperatingSystem.LINUX)


def diagnosis_of_single(capture: Capture) -> Diagnosis:
    ((rank, text),) = capture["ranks"].items()
    exits = capture["exits"]
    said = exits[rank]["exit"] if isinstance(exits, dict) else exits
    return classify(DeathEvidence(OperatingSystem.LINUX, Phase.RUNNING, status_of(said), report_of(text)))
