"""The catalogue is pinned by texts that do not come from it: whatever is taken out, one of them is told otherwise.

`tests/corpora/messages.jsonl` has the texts. When a test fails because of a row that you added, add a text for it.
`python -m tests.diagnostics.unpinned_alternatives` goes further: it names the parts of patterns that no text needs.
"""

import re
from typing import Any

import pytest

from diagnostics.matcher import Matcher
from diagnostics.signature import Signature
from diagnostics.signatures import CATALOGUE
from tests.diagnostics.pattern_alternatives import without_one_alternative
from tests.diagnostics.pinned_messages import MESSAGES, concerned, read_with, told

BY_ID = pytest.mark.parametrize("signature", CATALOGUE, ids=lambda signature: signature.id)


@pytest.mark.parametrize("entry", MESSAGES, ids=lambda entry: entry["text"][:60])
def test_a_pinned_message_is_told_as_it_was(entry: dict[str, Any]) -> None:
    assert told(entry["text"], Matcher(CATALOGUE))[:2] == (entry["signature"], entry["cause"])


@BY_ID
def test_without_a_row_some_message_is_told_otherwise(signature: Signature) -> None:
    whole, less = Matcher(CATALOGUE), read_with(None, signature)
    assert any(told(text, less) != told(text, whole) for text in concerned(signature))


def test_alternatives_are_found_at_every_depth() -> None:
    found = list(without_one_alternative(r"a\|(?:b|[|)\]]c|(?P<d>e|f))|g"))
    assert [alternative for alternative, _ in found] == [
        "e",
        "f",
        "b",
        r"[|)\]]c",
        "(?P<d>e|f)",
        r"a\|(?:b|[|)\]]c|(?P<d>e|f))",
        "g",
    ]
    assert all(re.compile(rest) for _, rest in found)
