"""What waits for the disk is bounded, and what matters most is given up last."""

from hypothesis import given
from hypothesis import strategies as st

from diagnostics.incident import Incident
from supervisor.journal.backlog import Backlog
from supervisor.journal.records import CapturedLog
from supervisor.journal.rows import weight_bytes
from tests.supervisor.journal.samples import captured, event, generation, incident, task


def test_order_is_kept_within_a_kind_and_incidents_go_first():
    backlog = Backlog(max_records=10, max_bytes=1_000_000)
    for record in (captured(1), event(1), incident(1), event(2), incident(2)):
        backlog.put(record)
    assert backlog.take(4) == [incident(1), incident(2), event(1), event(2)]
    assert backlog.take(4) == [captured(1)]
    assert len(backlog) == 0


def test_captured_logs_make_room_for_incidents_but_never_the_other_way_round():
    backlog = Backlog(max_records=2, max_bytes=1_000_000)
    for record in (captured(1), captured(2), captured(3), incident(1), task(1), incident(2), captured(4)):
        backlog.put(record)
    assert backlog.take(9) == [incident(1), incident(2)]
    assert backlog.dropped == {"CapturedLog": 4, "TaskRecord": 1}


def test_what_is_put_back_is_the_oldest_again():
    backlog = Backlog(max_records=3, max_bytes=1_000_000)
    for number in (1, 2):
        backlog.put(event(number))
    taken = backlog.take(2)
    for number in (3, 4):
        backlog.put(event(number))
    backlog.put_back(taken)
    assert backlog.take(3) == [event(2), event(3), event(4)]
    assert backlog.dropped == {"EventRecord": 1}


def test_a_record_too_large_for_the_whole_backlog_pushes_nothing_out():
    backlog = Backlog(max_records=10, max_bytes=5_000)
    backlog.put(captured(1))
    backlog.put(captured(2, stdout="x" * 10_000))
    assert backlog.take(9) == [captured(1)]


RECORDS = st.one_of(
    st.builds(incident, st.integers(1, 5)),
    st.builds(generation, st.integers(1, 5)),
    st.builds(task, st.integers(1, 5)),
    st.builds(event, st.integers(1, 5)),
    st.builds(lambda number, size: captured(number, stderr="x" * size), st.integers(1, 5), st.integers(0, 2000)),
)


@given(st.lists(st.one_of(RECORDS, st.integers(1, 4))), st.integers(1, 6), st.integers(600, 6000))
def test_it_never_holds_more_than_its_limits_and_counts_what_it_drops(
    steps: list[object], max_records: int, max_bytes: int
):
    backlog = Backlog(max_records=max_records, max_bytes=max_bytes)
    put = taken = 0
    for step in steps:
        if isinstance(step, int):
            batch = backlog.take(step)
            assert len(batch) <= step
            assert sum(map(weight_bytes, batch)) <= max_bytes
            taken += len(batch)
        else:
            backlog.put(step)  # type: ignore[arg-type]
            put += 1
        assert len(backlog) <= max_records
    assert put == taken + len(backlog) + backlog.dropped.total()


def test_the_weight_counts_texts():
    assert weight_bytes(captured(1, stdout="x" * 1000)) - weight_bytes(captured(1)) == 1000
    assert {type(record) for record in (incident(), captured())} == {Incident, CapturedLog}
