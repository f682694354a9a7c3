"""Names every alternative in a pattern of the catalogue without which all pinned messages are told as before.

Run it with `python -m tests.diagnostics.unpinned_alternatives`. What it names is superfluous, or can never match, or
deserves a text in tests/corpora/messages.jsonl. Exit code 1 when there is any.
"""

import sys
from collections.abc import Iterator

import msgspec

from diagnostics.matcher import Matcher
from diagnostics.signature import Signature
from diagnostics.signatures import CATALOGUE
from tests.diagnostics.pattern_alternatives import without_one_alternative
from tests.diagnostics.pinned_messages import concerned, read_with, told


def unnoticed(signature: Signature) -> Iterator[str]:
    """The alternatives of one row that no pinned message needs."""
    whole = Matcher(CATALOGUE)
    expected = {text: told(text, whole) for text in concerned(signature)}
    for field in ("pattern", "context"):
        for alternative, rest in without_one_alternative(getattr(signature, field)):
            less = read_with(msgspec.structs.replace(signature, **{field: rest}), signature)
            if all(told(text, less) == was for text, was in expected.items()):
                yield alternative


def main() -> int:
    found = [(signature.id, alternative) for signature in CATALOGUE for alternative in unnoticed(signature)]
    for name, alternative in found:
        print(f"{name}: {alternative}")
    print(f"{len(found)} alternatives are not pinned")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
