"""Texts with a known meaning, kept apart from the catalogue that must give it to them."""

import json
from pathlib import Path
from typing import Any

from diagnostics.collector import DiagnosticCollector
from diagnostics.evidence import OperatingSystem
from diagnostics.matcher import Matcher
from diagnostics.signature import Signature
from diagnostics.signatures import CATALOGUE

MESSAGES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "corpora" / "messages.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]


def told(text: str, matcher: Matcher) -> tuple[str | None, str | None, str]:
    """Signature, cause and sentence for a log that holds `text` alone."""
    collector = DiagnosticCollector(OperatingSystem.DARWIN, matcher=matcher)
    collector.feed(text.encode())
    root = collector.finish().root_cause
    return (None, None, "") if root is None else (root.signature_id, root.kind.value, root.message)


def read_with(mutant: Signature | None, original: Signature) -> Matcher:
    """A matcher for the catalogue with `mutant`, or nothing, in the place of `original`."""
    rows = [mutant if row is original else row for row in CATALOGUE]
    return Matcher(row for row in rows if row is not None)


def concerned(signature: Signature) -> list[str]:
    return [entry["text"] for entry in MESSAGES if signature.keyword in entry["text"]]
