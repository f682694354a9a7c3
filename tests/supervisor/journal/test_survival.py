"""The journal outlives SIGKILL at any point, a full disk, broken files, and other people's files."""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from supervisor.journal.database import JournalUnusable, migrate, open_for_writing
from supervisor.journal.journal import Journal, JournalLimits
from supervisor.journal.reader import JournalReader
from supervisor.journal.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION
from tests.supervisor.journal.samples import event, incident
from tests.supervisor.journal.test_journal import DEADLINE_S, journal_at, rows

PROJECT = Path(__file__).resolve().parents[3]
BATCH = 100
SEEDS = range(12)


def started(path: Path, run_id: str, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.supervisor.journal.writing_process", str(path), run_id, mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def test_a_writer_killed_at_any_point_loses_at_most_what_it_had_in_hand(tmp_path: Path):
    path = tmp_path / "journal.db"
    for seed in SEEDS:
        run_id, stop_at = f"killed-{seed}", random.Random(seed).randrange(0, 10_000, 50)
        with started(path, run_id, "many") as process:
            assert process.stdout is not None
            told: list[tuple[str, int]] = []
            for line in process.stdout:
                word, number = line.split()
                told.append((word, int(number)))
                if told[-1] >= ("written", stop_at):
                    break
            process.kill()
        flushed = max((number for word, number in told if word == "flushed"), default=-1)
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        texts = rows(path, "SELECT text FROM events WHERE run_id = ? AND kind = 'state'", run_id)
        numbers = [int(text.split()[1]) for (text,) in texts]
        assert sorted(numbers) == list(range(len(numbers))), "a prefix of what was written, nothing twice"
        assert len(numbers) > flushed, "what flush() vouched for is there; the rest was in the last batches"
    with journal_at(path) as (journal, said):
        assert journal.flush(DEADLINE_S)
    # Each run found its predecessor, and said so; the last one is found now.
    assert len(said) == 1
    assert "(pid" in said[0]
    assert f"killed-{SEEDS[-1]} " in said[0]
    unclean = rows(path, "SELECT count(*) FROM events WHERE kind = 'journal_unclean_end'")
    assert unclean == [(len(SEEDS),)]
    assert rows(path, "SELECT count(*) FROM writers WHERE clean = 0") == [(len(SEEDS),)]


def test_a_clean_end_and_a_living_writer_are_no_news(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path):
        pass
    said: list[str] = []
    with journal_at(path):
        other = Journal(path, run_id="run-2", observer=said.append)
        assert other.close(DEADLINE_S)
    assert said == []
    assert rows(path, "SELECT run_id, clean FROM writers ORDER BY 1") == [("run-1", 1), ("run-2", 1)]


def test_a_disk_that_refuses_costs_the_least_important_records_only(tmp_path: Path):
    path = tmp_path / "journal.db"
    with started(path, "run-1", "full") as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "refused, flushed False" in out
    assert "closed True" in out
    said = [line.removeprefix("said ") for line in out.splitlines() if line.startswith("said ")]
    assert len(said) == 2, "said once, and once that it is over"
    assert "cannot be written" in said[0]
    lost = int(said[1].split("lost: ")[1].split()[0])
    kept = rows(path, "SELECT count(*) FROM events WHERE kind = 'while_full'")[0][0]
    assert kept + lost == 1000
    assert 0 < lost < 1000
    assert rows(path, "SELECT count(*) FROM incidents") == [(5,)]
    assert rows(path, "SELECT count(*) FROM events WHERE text = 'before'") == [(1,)]
    assert rows(path, "SELECT text FROM events WHERE kind = 'journal_recovered'") == [(said[1],)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert float(out.split("slowest_s ")[1]) < 1.0


def test_a_full_database_is_sqlites_own_refusal_and_is_over_when_there_is_room(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path, max_file_bytes=400_000, max_queued_records=200, retry_s=0.05) as (journal, said):
        for number in range(400):
            journal.write(event(number, text="x" * 10_000))
        assert not journal.flush(0.5)
        assert any("database or disk is full" in sentence for sentence in said)
    assert any("could not be written" in sentence for sentence in said), "the end says what is left"
    with journal_at(path) as (journal, said):
        journal.write(event(1000))
        assert journal.flush(DEADLINE_S)
    assert said == []


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "journal.db"
    with journal_at(path, retry_s=0.02) as (journal, said):
        journal.write(incident())
        assert not journal.flush(0.2)
        (tmp_path / "file").unlink()
        assert journal.flush(DEADLINE_S)
    assert rows(path, "SELECT incident_id FROM incidents") == [("inc-0001",)]
    assert len(said) == 2
    assert "nothing was lost" in said[1]


def test_a_file_that_is_taken_away_is_made_again(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        journal.write(event(1))
        assert journal.flush(DEADLINE_S)
        for file in tmp_path.iterdir():
            file.unlink()
        journal.write(event(2))
        assert journal.flush(DEADLINE_S)
        assert rows(path, "SELECT text FROM events") == [("event 2",)]


@pytest.mark.parametrize("damage", ["not a database at all" * 1000, "header", "middle"])
def test_a_broken_file_is_kept_as_evidence_and_a_new_one_begun(tmp_path: Path, damage: str):
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        for number in range(2000):
            journal.write(event(number))
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[0:100] = b"\xff" * 100
    elif damage == "middle":
        for page in range(2, len(content) // 4096):
            content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    else:
        content = bytearray(damage.encode())
    path.write_bytes(content)
    with journal_at(path) as (journal, said):
        journal.write(incident())
    (evidence,) = (
        found for found in tmp_path.glob("journal.db.corrupt-*") if not found.name.endswith(("-wal", "-shm"))
    )
    assert evidence.read_bytes() == bytes(content)
    assert evidence.name in said[0]
    assert rows(path, "SELECT count(*) FROM incidents") == [(1,)]
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'journal_corrupt'") == [(1,)]


def test_only_the_newest_pieces_of_evidence_are_kept(tmp_path: Path):
    path = tmp_path / "journal.db"
    for _ in range(6):
        path.write_bytes(b"broken " * 1000)
        with journal_at(path):
            pass
    assert len(list(tmp_path.glob("journal.db.corrupt-*"))) == 3


def assert_left_alone(path: Path, reason: str) -> None:
    before = path.read_bytes()
    with journal_at(path, retry_s=0.02) as (journal, said):
        journal.write(incident())
        assert not journal.flush(0.3)
    assert path.read_bytes() == before
    assert [sentence for sentence in said if reason in sentence], said
    with pytest.raises(JournalUnusable, match=reason):
        JournalReader(path)


def test_a_journal_of_a_newer_version_is_not_touched(tmp_path: Path):
    path = tmp_path / "journal.db"
    with journal_at(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("PRAGMA journal_mode = DELETE")
    assert_left_alone(path, "made by a newer ringwarden")


def test_a_database_of_another_program_is_not_touched(tmp_path: Path):
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE somebody_elses (x)")
    assert_left_alone(path, "another program")


LATER = (*MIGRATIONS, ("CREATE TABLE later (x TEXT)",), ("ALTER TABLE later ADD COLUMN y TEXT", "DROP TABLE later"))


def schema(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize("migrations", [MIGRATIONS, LATER])
def test_every_older_version_is_brought_to_the_newest_with_its_rows(
    tmp_path: Path, migrations: Sequence[Sequence[str]]
):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, migrations)
        wanted = schema(fresh)
    for version in range(len(migrations)):
        path = tmp_path / f"{version}.db"
        opened = open_for_writing(path, migrations[:version]).connection
        if version:
            opened.execute("INSERT INTO events (run_id, at, kind, text) VALUES ('r', 1.0, 'k', 't')")
        opened.close()
        with closing(open_for_writing(path, migrations).connection) as migrated:
            assert schema(migrated) == wanted
            assert migrated.execute("PRAGMA user_version").fetchone() == (len(migrations),)
            assert migrated.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert migrated.execute("SELECT count(*) FROM events").fetchone() == (min(version, 1),)


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path):
    path = tmp_path / "journal.db"
    open_for_writing(path).connection.close()
    broken = (*MIGRATIONS, ("CREATE TABLE half (x)", "CREATE TABLE half (x)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        open_for_writing(path, broken)
    with closing(open_for_writing(path).connection) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert not [name for name, _ in schema(connection) if name == "half"]


def test_old_rows_go_and_too_many_rows_go_oldest_first_incidents_last(tmp_path: Path):
    path, now = tmp_path / "journal.db", time.time()
    limits = {"max_age_s": 3600.0, "retention_every_s": 0.01, "max_bytes": 1_000_000}
    with journal_at(path, **limits) as (journal, _):
        journal.write(event(1, at=now - 7200))
        journal.write(incident(1, occurred_at=now - 7200, task_ids=("req-1",)))
        journal.write(incident(2, occurred_at=now - 3000, task_ids=("req-2",)))
        for number in range(3000):
            journal.write(event(number, at=now - 1000 + number / 10, text="x" * 1000))
        assert journal.flush(DEADLINE_S)
        ends_at = time.monotonic() + DEADLINE_S
        while path.stat().st_size > 1_500_000:
            assert time.monotonic() < ends_at, path.stat().st_size
            time.sleep(0.02)
    assert rows(path, "SELECT incident_id FROM incidents") == [("inc-0002",)]
    assert rows(path, "SELECT task_id FROM incident_tasks") == [("req-2",)]
    (count, oldest, newest) = rows(path, "SELECT count(*), min(at), max(at) FROM events")[0]
    assert 300 < count < 1000
    assert newest == pytest.approx(now - 1000 + 299.9)
    assert oldest > now - 1000 + 100


def test_limits_name_their_units():
    for name in JournalLimits.__struct_fields__:
        assert name.endswith(("_s", "_bytes", "_records", "_columns")), name
