"""How many versions of an incident the deaths of a group make, and what each holds."""

from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.diagnosing import diagnosis_of
from diagnostics.incident import Confidence, DeathCertificate, Incident
from diagnostics.phase import Phase
from diagnostics.verdict import fold
from supervisor.core.group_messages import DeclareVerdict
from supervisor.core.restart import RestartAfter
from supervisor.current_incident import CurrentIncident
from supervisor.incident_report import MOST_CERTIFICATES
from supervisor.launch import GroupSpec
from tests.supervisor.group_harness import Recorder


class Versions(Recorder):
    """Remembers every version."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[Incident] = []

    def on_incident(self, incident: Incident) -> None:
        self.versions.append(incident)


def death(rank: int, cause: Cause = Cause.KILLED_BY_SUPERVISOR) -> DeathCertificate:
    diagnosis = diagnosis_of(cause, Confidence.CERTAIN, "was ended")
    return DeathCertificate(rank, 1, f"n{rank // 8}", 1000 + rank, Phase.READY, diagnosis, None, 0.0)


def failed(world_size: int, certificates: tuple[DeathCertificate, ...]) -> tuple[CurrentIncident, Versions]:
    recorder = Versions()
    spec = GroupSpec("tiny", Path(), world_size, "tensor", "ring", "a:B", "head", Path(), {})
    current = CurrentIncident(spec, recorder)
    current.begin_generation(spec, over_nodes=True)
    current.declare(DeclareVerdict(fold(certificates, world_size), certificates, RestartAfter(1.0)), (), 1.0)
    return current, recorder


def ranks_of(recorder: Versions) -> list[list[int]]:
    return [[one.rank for one in version.certificates] for version in recorder.versions]


def test_a_small_group_tells_each_death_as_it_comes() -> None:
    current, recorder = failed(3, (death(1, Cause.SEGFAULT),))
    current.add(death(2))
    current.add(death(0))
    current.all_gone()
    assert ranks_of(recorder) == [[1], [1, 2], [0, 1, 2]]


@pytest.mark.parametrize("world_size", [48, 2000])
def test_a_large_group_tells_most_deaths_at_once_when_all_are_gone(world_size: int) -> None:
    current, recorder = failed(world_size, (death(world_size - 1, Cause.SEGFAULT),))
    for rank in range(world_size - 1):
        current.add(death(rank))
    told_while_they_died = len(recorder.versions)
    current.all_gone()
    current.all_gone()
    assert told_while_they_died == 16
    assert len(recorder.versions) == 17
    last = ranks_of(recorder)[-1]
    assert last == sorted(last)
    assert len(last) == min(world_size, MOST_CERTIFICATES)
    assert world_size - 1 in last


def test_the_named_rank_is_in_an_incident_of_more_deaths_than_it_can_hold() -> None:
    deaths = (*map(death, range(1999)), death(1999, Cause.SEGFAULT))
    _, recorder = failed(2000, deaths)
    assert recorder.versions[-1].rank == 1999
    assert ranks_of(recorder) == [[*range(MOST_CERTIFICATES - 1), 1999]]
