"""The journal's tags of a request's metadata: names become columns there, clients may use any."""

import re
from collections.abc import Mapping

from supervisor.journal.records import Tags

_MAX_NAME_CHARACTERS = 40
_OTHER = re.compile(r"[^a-z0-9_]")


def tags_of(metadata: Mapping[str, str]) -> Tags:
    """Return the values under names that the journal takes. Pure; no entry is lost.

    A name is written in lower case, with `_` for whatever is no letter or digit, `tag_` in front when it does not begin
    with a letter, and cut to 40 characters; of two that become the same, the second one gets `_2`.
    """
    tags: Tags = {}
    for name, value in metadata.items():
        base = _OTHER.sub("_", name.lower())
        base = (base if base[:1].isalpha() else f"tag_{base}")[:_MAX_NAME_CHARACTERS]
        free, number = base, 2
        while free in tags:
            suffix = f"_{number}"
            free, number = base[: _MAX_NAME_CHARACTERS - len(suffix)] + suffix, number + 1
        tags[free] = value
    return tags
