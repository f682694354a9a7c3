"""Records written are found again; the last version of a key wins; nobody waits for a disk."""

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.journal.journal import Journal, JournalLimits
from supervisor.journal.records import Record
from supervisor.journal.tags import TagError
from tests.supervisor.journal.samples import RUN, captured, event, generation, incident, task

DEADLINE_S = 20.0
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@contextmanager
def journal_at(path: Path, **limits: Any) -> Iterator[tuple[Journal, list[str]]]:
    said: list[str] = []
    # The samples are from 1970.
    bounds = JournalLimits(**{"max_age_s": float("inf"), **limits})
    opened = Journal(path, run_id=RUN, limits=bounds, observer=said.append)
    try:
        yield opened, said
    finally:
        opened.close(DEADLINE_S)


def rows(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, values).fetchall()


def test_every_kind_of_record_has_its_table(tmp_path: Path):
    path = tmp_path / "new" / "journal.db"
    records: tuple[Record, ...] = (incident(task_ids=("req-1", "req-2")), generation(), task(), captured(), event())
    with journal_at(path) as (journal, said):
        for record in records:
            journal.write(record)
    for table, count in (("incidents", 1), ("incident_tasks", 2), ("generations", 1), ("tasks", 1), ("events", 1)):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(count,)], table
    assert rows(path, "SELECT stderr, success FROM captured_logs") == [("line of 1\n", 1)]
    assert said == []


def test_the_file_is_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "state" / "journal.db"
    with journal_at(path) as (journal, _):
        journal.write(event())
        assert journal.flush(DEADLINE_S)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_later_record_with_the_same_key_replaces_the_earlier(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        journal.write(incident(task_ids=("req-1", "req-2")))
        journal.write(incident(task_ids=("req-2",), recovered_after_s=1.5))
        journal.write(generation(ready_at=None))
        journal.write(generation(ready_at=1002.0))
        journal.write(task(tags={"user": "a", "team": "x"}))
        journal.write(task(tags={"user": "b"}, detail="stop"))
        assert journal.flush(DEADLINE_S)
    assert rows(path, "SELECT recovered_after_s FROM incidents") == [(1.5,)]
    assert rows(path, "SELECT task_id FROM incident_tasks") == [("req-2",)]
    assert rows(path, "SELECT ready_at FROM generations") == [(1002.0,)]
    assert rows(path, "SELECT detail, tag_user, tag_team FROM tasks") == [("stop", "b", None)]


def test_a_task_id_that_comes_again_later_is_another_task(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        journal.write(task(started_at=1.0, ended_at=2.0))
        journal.write(task(started_at=3.0))
    assert rows(path, "SELECT started_at, ended_at FROM tasks ORDER BY 1") == [(1.0, 2.0), (3.0, None)]


def test_an_incident_is_in_the_file_long_before_the_batch_is_full(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path, max_batch_s=3600.0) as (journal, _):
        journal.write(event())
        journal.write(incident())
        ends_at = time.monotonic() + DEADLINE_S
        while not rows(path, "SELECT 1 FROM incidents"):
            assert time.monotonic() < ends_at
            time.sleep(0.01)
        assert rows(path, "SELECT count(*) FROM events") == [(1,)]


def test_a_batch_is_in_the_file_within_a_moment(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        started_at = time.monotonic()
        journal.write(event())
        while not rows(path, "SELECT 1 FROM events"):
            assert time.monotonic() - started_at < DEADLINE_S
            time.sleep(0.005)


def test_two_readers_see_whole_batches_while_it_writes(tmp_path: Path):
    path, wanted = tmp_path / "journal.db", 5000
    seen: list[list[int]] = [[], []]

    def read(counts: list[int]) -> None:
        ends_at = time.monotonic() + DEADLINE_S
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            while (not counts or counts[-1] < wanted) and time.monotonic() < ends_at:
                counts.append(connection.execute("SELECT count(*) FROM events").fetchone()[0])

    with journal_at(path, max_batch_records=100) as (journal, said):
        readers = [threading.Thread(target=read, args=(counts,)) for counts in seen]
        for reader in readers:
            reader.start()
        for number in range(wanted):
            journal.write(event(number))
        for reader in readers:
            reader.join()
    for counts in seen:
        assert counts[-1] == wanted
        assert counts == sorted(counts)
    assert said == []


def test_what_no_database_can_hold_is_refused_alone_and_said(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, said):
        journal.write(task(1, prompt_tokens=2**70))
        journal.write(task(2, started_at=float("nan")))
        journal.write(task(3, detail="a lone surrogate \udcff and a \0 stay readable"))
        assert journal.flush(DEADLINE_S)
    assert rows(path, "SELECT task_id, detail FROM tasks") == [
        ("req-3", "a lone surrogate \\udcff and a \0 stay readable")
    ]
    assert [sentence.split(":")[0] for sentence in said] == ["a TaskRecord cannot be kept"] * 2


@pytest.mark.parametrize(
    "name",
    ["", "Upper", "1st", "_x", "a-b", "a b", "ü", "a" * 41, 'x"; DROP TABLE tasks; --', "x\0", "x\n", "a.b", "x)"],
)
def test_a_hostile_tag_is_refused_with_the_rule_and_reaches_no_sql(tmp_path: Path, name: str):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        with pytest.raises(TagError, match="begins with a letter"):
            journal.write(task(tags={name: "x"}))
        with pytest.raises(TagError):
            journal.check_tags({name: "x"})
        journal.write(task(2))
    assert rows(path, "SELECT task_id FROM tasks") == [("req-2",)]


def test_tags_named_like_fixed_columns_or_sql_words_are_columns_of_their_own(tmp_path: Path):
    path = tmp_path / "journal.db"
    tags = {"task_id": "mine", "select": "1", "rowid": "2", "tag_task_id": "3"}
    with journal_at(path) as (journal, _):
        journal.write(task(tags=tags))
        journal.write(captured(tags=tags))
    for table in ("tasks", "captured_logs"):
        assert rows(path, f"SELECT task_id, tag_task_id, tag_select, tag_rowid, tag_tag_task_id FROM {table}") == [
            ("req-1", "mine", "1", "2", "3")
        ]


def test_one_tag_name_too_many_is_refused_also_after_a_restart(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path, max_tag_columns=3) as (journal, _):
        journal.write(task(1, tags={"a": "1", "b": "2"}))
        journal.write(captured(1, tags={"c": "3"}))
        with pytest.raises(TagError, match="at most 3 different tag names"):
            journal.write(task(2, tags={"a": "1", "d": "4"}))
    with journal_at(path, max_tag_columns=3) as (journal, _):
        with pytest.raises(TagError, match="tag d"):
            journal.check_tags({"d": "4"})
        journal.write(task(3, tags={"c": "3"}))
    assert rows(path, "SELECT task_id, tag_c FROM tasks ORDER BY 1") == [("req-1", None), ("req-3", "3")]


def test_a_tag_value_that_is_too_long_is_refused():
    with pytest.raises(TagError, match="at most 1024"):
        task_with = task(tags={"a": "x" * 1025})
        from supervisor.journal.tags import check_tags

        check_tags(task_with.tags)


def test_a_writer_that_is_held_up_blocks_nobody_and_says_what_was_dropped(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path, max_queued_records=100, max_batch_records=10) as (journal, said):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # another process has the file: our writer waits
            slowest_s = 0.0
            for number in range(5000):
                before = time.monotonic()
                journal.write(event(number))
                slowest_s = max(slowest_s, time.monotonic() - before)
            journal.write(incident())
            other.execute("ROLLBACK")
        assert slowest_s < 1.0, "a machine may be slow, a disk must not be felt"
        assert journal.flush(DEADLINE_S)
        assert rows(path, "SELECT count(*) FROM incidents") == [(1,)]
        kept = rows(path, "SELECT count(*) FROM events WHERE kind = 'state'")[0][0]
        dropped = sum(int(sentence.split("lost: ")[1].split()[0]) for sentence in said if "lost: " in sentence)
        assert kept + dropped == 5000
        assert any("could not keep up" in sentence for sentence in said)


def test_two_runs_write_one_journal_at_the_same_time(tmp_path: Path):
    path, count = tmp_path / "journal.db", 3000
    with journal_at(path, max_batch_records=50) as (journal, said):
        bounds = JournalLimits(max_age_s=float("inf"), max_batch_records=50)
        other = Journal(path, run_id="run-2", limits=bounds, observer=said.append)
        for number in range(count):
            journal.write(event(number))
            other.write(task(number, run_id="run-2", tags={f"tag_of_{number % 3}": "x"}))
        journal.write(captured(tags={"tag_of_1": "y"}))
        assert other.flush(DEADLINE_S)
        assert journal.flush(DEADLINE_S)
        assert other.close(DEADLINE_S)
    assert said == []
    assert rows(path, "SELECT count(*) FROM events") == [(count,)]
    assert rows(path, "SELECT count(*), count(tag_tag_of_0) FROM tasks") == [(count, count // 3)]
    assert rows(path, "SELECT tag_tag_of_1 FROM captured_logs") == [("y",)]
