"""What a tag may be called. Names become columns, so nothing but these letters ever reaches SQL text."""

import re
from collections.abc import Iterable, Mapping

TAG_PREFIX = "tag_"
MAX_VALUE_CHARS = 1024
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RULE = "a tag's name is a-z, 0-9 and _, begins with a letter and has at most 40 characters"


class TagError(ValueError):
    """A tag that cannot be kept. The message names it and the rule; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def check_tags(tags: Mapping[str, str]) -> None:
    """Check names and values, whatever the journal holds so far. Pure.

    Raises:
        TagError: For the first that breaks the rule.
    """
    for name, value in tags.items():
        if _NAME.fullmatch(name) is None:
            raise TagError(f"tag {name[:80]!r}: {_RULE}", "Rename it, for example: experiment_2")
        if len(value) > MAX_VALUE_CHARS:
            raise TagError(
                f"tag {name}: its value has {len(value)} characters; at most {MAX_VALUE_CHARS} are kept", "Shorten it."
            )


def column_of(name: str) -> str:
    """Return the column of a tag whose name was checked."""
    return TAG_PREFIX + name


def tag_names(columns: Iterable[str]) -> frozenset[str]:
    """Return the names of those `columns` that hold tags."""
    return frozenset(column.removeprefix(TAG_PREFIX) for column in columns if column.startswith(TAG_PREFIX))


class TagNames:
    """The names in use. Not thread-safe.

    Args:
        max_columns: Different names that one journal may hold.
    """

    def __init__(self, max_columns: int) -> None:
        self._max_columns = max_columns
        self._names: set[str] = set()

    def learn(self, names: Iterable[str]) -> None:
        """Take in names that the journal has columns for already."""
        self._names.update(names)

    def reserve(self, tags: Mapping[str, str]) -> None:
        """Check tags and count their names.

        Raises:
            TagError: A name or value breaks the rule, or it would be one name too many. Nothing is counted then.
        """
        check_tags(tags)
        together = self._names | tags.keys()
        if len(together) > self._max_columns and together != self._names:
            new = ", ".join(sorted(tags.keys() - self._names))
            raise TagError(
                f"tag {new}: a journal holds at most {self._max_columns} different tag names",
                "Use one of the names in use, and put what varies into the value.",
            )
        self._names = together
