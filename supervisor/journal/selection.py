"""Which rows a reader wants, as conditions that SQLite can answer from its indices. Pure."""

import msgspec

from supervisor.journal.records import Tags
from supervisor.journal.rows import SqlValue
from supervisor.journal.tags import check_tags, column_of


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; None and empty mean: all of them. Times are seconds since the Unix epoch.

    `tags` must all be equal. `since` and `until` select what was going on at any moment between them.
    """

    run_id: str | None = None
    task_id: str | None = None
    generation: int | None = None
    rank: int | None = None
    tags: Tags = {}
    since: float | None = None
    until: float | None = None


def condition(selection: Selection, began: str, ended: str) -> tuple[str, list[SqlValue]]:
    """Return a WHERE clause and its values, for a table with `began` and `ended` as its time columns.

    Raises:
        TagError: A tag's name breaks the rule; only checked names become SQL text.
    """
    check_tags(selection.tags)
    terms: list[tuple[str, SqlValue]] = [
        (f"{name} = ?", value)
        for name in ("run_id", "task_id", "generation", "rank")
        if (value := getattr(selection, name)) is not None
    ]
    terms += [(f'"{column_of(name)}" = ?', value) for name, value in selection.tags.items()]
    if selection.since is not None:
        terms.append((f"{ended} >= ?", selection.since))
    if selection.until is not None:
        terms.append((f"{began} <= ?", selection.until))
    clause = " AND ".join(term for term, _ in terms)
    return (f"WHERE {clause}" if clause else "", [value for _, value in terms])
