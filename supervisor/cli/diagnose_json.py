"""What `ringwarden diagnose --json` prints: a contract that scripts rely on."""

from collections.abc import Mapping
from typing import Any

from diagnostics.incident import Verdict
from diagnostics.log_diagnosis import LogDiagnosis, RootCause


def log_document(diagnosis: LogDiagnosis, file: str | None = None) -> dict[str, Any]:
    """Return one log's document. `file` comes first where there are several logs."""
    named = {} if file is None else {"file": file}
    return {
        **named,
        "root_cause": None if diagnosis.root_cause is None else _root(diagnosis.root_cause),
        "diagnostics": [
            {"kind": one.kind, "line": one.line, "count": one.count, "message": one.message, "evidence": one.evidence}
            for one in diagnosis.diagnostics
        ],
        "unclassified_lines": diagnosis.unclassified_lines,
    }


def group_document(verdict: Verdict | None, ranks: Mapping[int, LogDiagnosis]) -> dict[str, Any]:
    """Return the document of a group: the verdict, and each rank's own."""
    told = None
    if verdict is not None:
        names = ("kind", "rank", "confidence", "sentence", "suspects")
        told = {name: getattr(verdict, name) for name in names}
    return {"verdict": told, "ranks": {str(rank): log_document(ranks[rank]) for rank in sorted(ranks)}}


def _root(root: RootCause) -> dict[str, Any]:
    names = ("kind", "line", "text", "message", "advice", "retryable")
    return {name: getattr(root, name) for name in names}
