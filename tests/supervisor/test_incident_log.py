"""Incidents are readable at once and on disk before the daemon leaves; versions replace each other."""

from pathlib import Path

import anyio
import msgspec
import pytest

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.incident_log import IncidentLog
from supervisor.incident_store import IncidentStore

pytestmark = pytest.mark.anyio


def incident(number: int, **changes: object) -> Incident:
    made = Incident(
        f"inc-{number:012x}", float(number), "here", 1, 1, Cause.SEGFAULT, Phase.RUNNING, Confidence.CERTAIN,
        "Rank 1 crashed.", "", True,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


async def write(log: IncidentLog) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.write_forever)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_what_was_recorded_survives_the_daemon(tmp_path: Path) -> None:
    log = IncidentLog(IncidentStore(tmp_path))
    assert log.record(incident(1))
    assert log.record(incident(2))
    assert not log.record(incident(1, recovered_after_s=2.5))
    await write(log)
    again = IncidentLog(IncidentStore(tmp_path))
    assert [known.incident_id for known in again.newest_first()] == ["inc-000000000002", "inc-000000000001"]
    found = again.get("inc-000000000001")
    assert found is not None
    assert found.recovered_after_s == 2.5


async def test_memory_is_bounded_and_the_disk_has_the_rest(tmp_path: Path) -> None:
    log = IncidentLog(IncidentStore(tmp_path), max_in_memory=3)
    for number in range(10):
        log.record(incident(number))
    await write(log)
    assert len(log.newest_first()) == 3
    assert log.get("inc-000000000000") is not None
    assert log.get("inc-ffffffffffff") is None
