"""Incidents survive restarts, broken files and a disk that refuses."""

import os
import threading
from pathlib import Path

import msgspec
import pytest

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.incident_store import IncidentStore, is_incident_id


def incident(number: int, **changes: object) -> Incident:
    made = Incident(
        incident_id=f"inc-{number:04}",
        occurred_at=1000.0 + number,
        node="mac-1",
        rank=1,
        generation=number,
        cause=Cause.KILLED_NO_STDERR,
        phase=Phase.RUNNING,
        confidence=Confidence.CERTAIN,
        message="Rank 1 was killed.",
        advice="Look for who sent it.",
        retryable=True,
    )
    return msgspec.structs.replace(made, **changes)


def test_what_was_put_is_found_again_by_the_next_process(tmp_path: Path):
    store = IncidentStore(tmp_path / "incidents")
    assert store.put(incident(1))
    assert store.put(incident(2))
    again = IncidentStore(tmp_path / "incidents")
    assert again.newest_first() == (incident(2), incident(1))
    assert again.get("inc-0001") == incident(1)


def test_a_later_version_replaces_the_earlier(tmp_path: Path):
    store = IncidentStore(tmp_path)
    store.put(incident(1))
    store.put(incident(1, recovered_after_s=2.5))
    assert [found.recovered_after_s for found in store.newest_first()] == [2.5]
    assert IncidentStore(tmp_path).get("inc-0001") == incident(1, recovered_after_s=2.5)


def test_old_ones_leave_memory_first_and_then_the_disk(tmp_path: Path):
    store = IncidentStore(tmp_path, max_incidents=4, max_in_memory=2)
    for number in range(6):
        store.put(incident(number))
        os.utime(tmp_path / f"inc-{number:04}.json", (number, number))
    assert store.newest_first() == (incident(5), incident(4))
    assert store.get("inc-0003") == incident(3)
    store.put(incident(6))
    assert len(list(tmp_path.glob("*.json"))) == 4
    assert store.get("inc-0000") is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.json", ".hidden", "a" * 65, "a\n", "ä", "-rf"])
def test_an_id_is_never_a_path(tmp_path: Path, name: str):
    store = IncidentStore(tmp_path)
    assert not is_incident_id(name)
    assert store.get(name) is None
    with pytest.raises(ValueError, match="not an incident id"):
        store.put(incident(1, incident_id=name))
    assert list(tmp_path.iterdir()) == []


def test_garbage_costs_only_itself(tmp_path: Path):
    IncidentStore(tmp_path).put(incident(1))
    (tmp_path / "half.json").write_bytes(b'{"incident_id": "ha')
    (tmp_path / "binary.json").write_bytes(b"\xff\x00")
    (tmp_path / "huge.json").write_bytes(b" " * 5_000_000)
    (tmp_path / "other.json").write_bytes(msgspec.json.encode(incident(2)))
    (tmp_path / "folder.json").mkdir()
    store = IncidentStore(tmp_path)
    assert store.newest_first() == (incident(1),)
    assert store.get("half") is None
    assert store.put(incident(3))


def test_a_disk_that_refuses_is_reported_once_and_caught_up_with(tmp_path: Path):
    # A file where the folder should be refuses writes for root too, as a read-only mode would not.
    folder = tmp_path / "incidents"
    folder.write_text("in the way")
    told: list[str] = []
    store = IncidentStore(folder, observer=told.append)
    assert not store.put(incident(1))
    assert not store.put(incident(2))
    assert store.newest_first() == (incident(2), incident(1))
    assert store.get("inc-0001") == incident(1)
    assert len(told) == 1
    assert "memory only" in told[0]
    folder.unlink()
    assert store.put(incident(3))
    assert len(told) == 2
    assert IncidentStore(folder).newest_first() == (incident(3), incident(2), incident(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_no_half_file(tmp_path: Path):
    store = IncidentStore(tmp_path)
    (tmp_path / "inc-0001.partial").symlink_to("/dev/full")
    assert not store.put(incident(1))
    assert list(tmp_path.iterdir()) == []
    assert store.put(incident(1))


def test_threads_may_put_at_once(tmp_path: Path):
    store = IncidentStore(tmp_path)
    threads = [threading.Thread(target=store.put, args=(incident(number),)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(store.newest_first()) == 20
    assert len(list(tmp_path.iterdir())) == 20
