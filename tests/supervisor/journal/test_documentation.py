"""docs/journal.md tells the truth: its tables are the real ones, and its queries work."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.journal.tags import TAG_PREFIX
from tests.supervisor.canned_daemon import INCIDENT
from tests.supervisor.journal.samples import captured, event, generation, incident, task
from tests.supervisor.journal.test_journal import journal_at

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "journal.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        journal.write(incident(1, task_ids=("req-1",), certificates=INCIDENT.certificates))
        journal.write(generation(1, ready_at=1010.0, incident_id="inc-0001"))
        journal.write(task(1, incident_id="inc-0001", tags={"user": "ann"}))
        journal.write(captured(1, success=False, tags={"user": "ann"}))
        journal.write(event(0))
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("UPDATE incidents SET occurred_at = 1001.0")
        opened.execute("UPDATE writers SET clean = 0")
        opened.commit()
        yield opened


def documented() -> dict[str, list[tuple[str, str]]]:
    tables: dict[str, list[tuple[str, str]]] = {}
    for part in re.split(r"^### ", DOCUMENT.split("## Tags")[0], flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0]
        tables[name] = re.findall(r"^\| `(\w+)` \| (\w+) \|", part, re.MULTILINE)
    return tables


def test_the_documented_tables_are_the_real_ones(connection: sqlite3.Connection):
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    real = {
        table: [
            ("tag_NAME" if name.startswith(TAG_PREFIX) else name, kind)
            for name, kind in connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        ]
        for table in names
        if not table.startswith("sqlite_")
    }
    assert documented() == real


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_documented_query_runs_and_uses_what_is_there(connection: sqlite3.Connection, query: str):
    rows = connection.execute(query).fetchall()
    # The first is about this week, and the samples are from 1970.
    assert (len(rows) > 0) == ("7 * 86400" not in query)


def test_there_are_queries():
    assert len(QUERIES) >= 6
