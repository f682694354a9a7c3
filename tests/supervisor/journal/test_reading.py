"""What a reader finds is what was written: by task, rank, generation, tag and time; any sequence is like a dict."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.journal.journal import Journal, JournalLimits
from supervisor.journal.reader import JournalReader, NoJournalFile
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, Record, TaskOutcome, TaskRecord
from supervisor.journal.selection import Selection
from tests.supervisor.journal.samples import RUN, captured, event, generation, incident, task
from tests.supervisor.journal.test_journal import DEADLINE_S, journal_at

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NUMBER = st.integers(1, 3)
TAGS = st.dictionaries(st.sampled_from(["user", "team", "task_id"]), TEXT, max_size=3)
RECORDS = st.one_of(
    st.builds(lambda n, r, ids: incident(n, recovered_after_s=r, task_ids=ids), NUMBER, st.none() | st.floats(0, 9),
              st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple)),
    st.builds(lambda n, at: generation(n, ready_at=at), NUMBER, st.none() | st.floats(0, 9)),
    st.builds(lambda n, o, d, t: task(n, outcome=o, detail=d, tags=t), NUMBER,
              st.none() | st.sampled_from(TaskOutcome), st.none() | TEXT, TAGS),
    st.builds(lambda n, e, ok, t: captured(n, stderr=e, success=ok, tags=t), NUMBER, TEXT, st.booleans(), TAGS),
    st.builds(lambda n, t: event(n, text=t), NUMBER, TEXT),
)  # fmt: skip


def key(record: Record) -> Any:
    match record:
        case GenerationRecord():
            return "generation", record.run_id, record.generation
        case TaskRecord():
            return "task", record.run_id, record.task_id, record.started_at
        case CapturedLog():
            return "log", record.log_id
        case EventRecord():
            return None
        case _:
            return "incident", record.incident_id


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(RECORDS, st.just("flush")), max_size=30))
def test_any_sequence_of_records_is_kept_like_a_dict_keeps_it(steps: list[Record | str]):
    folder = Path(tempfile.mkdtemp())
    model: dict[Any, Record] = {}
    events: list[EventRecord] = []
    try:
        with journal_at(folder / "journal.db") as (journal, _):
            for step in steps:
                if isinstance(step, str):
                    assert journal.flush(DEADLINE_S)
                elif isinstance(step, EventRecord):
                    journal.write(step)
                    events.append(step)
                else:
                    journal.write(step)
                    model[key(step)] = step
        with JournalReader(folder / "journal.db") as reader:
            found: list[Record] = [*reader.incidents(100), *reader.generations(Selection(), 100)]
            found += [log for _, log in reader.captured_logs(Selection())]
            found += [known for n in (1, 2, 3) if (known := reader.task(f"req-{n}")) is not None]
            assert {key(record): record for record in found} == model
            assert [known for _, known in reader.events(Selection())] == events
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with journal_at(path) as (journal, _):
        for number in range(1, 7):
            tags = {"user": "ann" if number % 2 else "bob", "n": str(number)}
            journal.write(captured(number, rank=number % 2, generation=1 + number // 4, tags=tags))
        journal.write(captured(7))
        journal.write(incident(1, task_ids=("req-1", "req-2")))
        journal.write(incident(2, task_ids=("req-2",)))
        journal.write(generation(1, incident_id="inc-0001"))
        journal.write(task(1, incident_id="inc-0001"))
    return path


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), [1, 2, 3, 4, 5, 6, 7]),
        (Selection(task_id="req-3"), [3]),
        (Selection(rank=1), [1, 3, 5]),
        (Selection(generation=2, rank=0), [4, 6]),
        (Selection(tags={"user": "ann"}), [1, 3, 5]),
        (Selection(tags={"user": "ann", "n": "5"}), [5]),
        (Selection(tags={"user": "x' OR 1=1 --"}), []),
        (Selection(task_id="' OR 1=1 --"), []),
        (Selection(since=1005.5), [5, 6, 7]),
        (Selection(until=1002.0), [1, 2]),
        (Selection(since=1003.5, until=1004.0), [3, 4]),
        (Selection(run_id="another"), []),
    ],
)
def test_captured_logs_are_selected(path: Path, selection: Selection, numbers: list[int]):
    with JournalReader(path) as reader:
        assert [log.log_id for _, log in reader.captured_logs(selection)] == [f"log-{number}" for number in numbers]


def test_a_reader_goes_on_where_it_was(path: Path):
    with journal_at(path) as (journal, _), JournalReader(path) as reader:
        position = max(position for position, _ in reader.captured_logs(Selection()))
        version = reader.data_version()
        assert list(reader.captured_logs(Selection(), position)) == []
        journal.write(captured(8))
        assert journal.flush(DEADLINE_S)
        assert reader.data_version() != version
        assert [log.log_id for _, log in reader.captured_logs(Selection(), position)] == ["log-8"]


def test_incidents_are_found_by_id_and_by_request(path: Path):
    with JournalReader(path) as reader:
        assert reader.incident("inc-0001") == incident(1, task_ids=("req-1", "req-2"))
        assert reader.incident("../../etc/passwd") is None
        newest = reader.incident_of_task("req-2")
        assert newest is not None
        assert newest.incident_id == "inc-0002"
        assert reader.generation_of(newest) is None
        assert reader.generation_of(incident(1)) == generation(1, incident_id="inc-0001")
        assert reader.tasks_of_incident("inc-0001", 10) == (task(1, incident_id="inc-0001"),)
        assert reader.tag_names() == ("n", "user")


def test_a_journal_is_read_where_nothing_can_be_written(path: Path):
    # Root may write everywhere, so this shows the mode of the files only where the tests run as somebody else.
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with JournalReader(path) as reader:
            assert len(reader.incidents(10)) == 2
    finally:
        path.parent.chmod(0o700)


def test_no_journal_is_no_database_error(tmp_path: Path):
    with pytest.raises(NoJournalFile, match="there is no journal"):
        JournalReader(tmp_path / "journal.db")
    (tmp_path / "journal.db").touch()
    with pytest.raises(NoJournalFile, match="is empty"):
        JournalReader(tmp_path / "journal.db")


def test_recent_incidents_are_at_hand_and_older_ones_in_the_journal(tmp_path: Path):
    path = tmp_path / "journal.db"
    journal = Journal(path, run_id=RUN, limits=JournalLimits(max_age_s=float("inf")))
    recent = RecentIncidents(journal, path, max_in_memory=2)
    assert [recent.record(incident(number)) for number in (1, 2, 3, 3)] == [True, True, True, False]
    assert [known.incident_id for known in recent.newest_first()] == ["inc-0003", "inc-0002"]
    assert journal.flush(DEADLINE_S)
    assert recent.get("inc-0001") == incident(1)
    assert recent.get("inc-ffff") is None
    assert journal.close(DEADLINE_S)
    again = RecentIncidents(journal, path, max_in_memory=2)
    assert [known.incident_id for known in again.newest_first()] == ["inc-0003", "inc-0002"]
    assert again.get("inc-0001") == incident(1)
