"""Where an SDK swallows what we send although it is right. What it does is pinned: once it raises, the cell is broken.

No shape of ours helps without harm to others; docs/acceptance.md tells what was tried.
"""

from collections.abc import Mapping
from typing import Literal

from tests.acceptance.rule import Expected, Seen

# (client, mode) -> what the SDK does.
KNOWN_EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("ai-sdk-text", "stream"): "`textStream` ends normally after an error, which only `onError` and `fullStream` tell",
}

Verdict = Literal["holds", "known", "broken"]


def verdict(
    client: str, mode: str, expected: Expected, seen: Seen, complaint: str | None
) -> tuple[Verdict, str | None]:
    """Return the verdict on a cell, and what there is to say about it."""
    known = KNOWN_EXCEPTIONS.get((client, mode))
    if known is not None and complaint is not None and seen.outcome["outcome"] == "returned":
        return "known", known
    if known is not None and complaint is None and expected.outcome == "error":
        return "broken", f"is an exception to the rule no longer: {known}"
    return ("holds", None) if complaint is None else ("broken", complaint)
