"""Real runners that are killed: what the incident says of who did it, and how long that takes."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import OperatingSystem
from diagnostics.incident import Confidence, Incident
from diagnostics.kill import FROM_OUTSIDE_ADVICE, OUT_OF_MEMORY_ADVICE
from supervisor.memory.reader import MemorySources
from tests.supervisor.group_harness import RunningGroup, eventually, listen, running_group, the_error
from tests.supervisor.memory.machine import Machine, real_cgroup

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def kill_rank_1(group: RunningGroup, machine: Machine, *, logged: bool = False, counted: int = 0) -> Incident:
    """Kill it as the kernel does: the record and the counter first, the signal then."""
    await group.ready(1)
    stream = group.start_task("a")
    await listen(stream, tokens=5)
    pid = group.pids()[1]
    if logged:
        machine.logged(pid)
    if counted:
        machine.counted(counted)
    os.kill(pid, signal.SIGKILL)
    incident = the_error(await listen(stream)).incident
    assert (incident.rank, incident.cause) == (1, Cause.KILLED_NO_STDERR)
    return incident


@on_linux
async def test_the_kernel_log_names_the_runner(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with running_group(tmp_path, memory=machine.sources()) as group:
        incident = await kill_rank_1(group, machine, logged=True)
    assert incident.message.startswith(
        "Rank 1 was killed by SIGKILL from outside Ringwarden, because memory ran out while generating; "
        "the system names it: pid "
    )
    assert "with 2.0 GiB of memory" in incident.message
    assert (incident.confidence, incident.advice) == (Confidence.CERTAIN, OUT_OF_MEMORY_ADVICE)
    assert incident.evidence[0].startswith("Out of memory: Killed process ")
    assert any(line.startswith("memory it held: ") for line in incident.evidence)
    (memory,) = (one.memory for one in incident.certificates if one.rank == 1)
    assert memory is not None
    assert memory.footprint[-1].footprint_bytes > 1 << 20


@on_linux
async def test_only_the_counter_rose(tmp_path: Path) -> None:
    machine = Machine(tmp_path, has_log=False)
    async with running_group(tmp_path, memory=machine.sources()) as group:
        incident = await kill_rank_1(group, machine, counted=4)
    assert "most likely because memory ran out" in incident.message
    assert "counter of its cgroup rose by 1" in incident.message
    assert incident.confidence is Confidence.LIKELY


@on_linux
async def test_nobody_but_somebody_outside_did_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with running_group(tmp_path, memory=machine.sources()) as group:
        incident = await kill_rank_1(group, machine)
    assert incident.message.startswith("Rank 1 was killed by SIGKILL from outside Ringwarden while generating; ")
    assert "who sent it is not known" in incident.message
    evidence = "\n".join(incident.evidence)
    assert str(machine.log) in evidence
    assert str(machine.cgroups) in evidence
    assert "because memory" not in incident.message
    assert (incident.confidence, incident.advice) == (Confidence.CERTAIN, FROM_OUTSIDE_ADVICE)


async def test_nothing_could_be_asked(tmp_path: Path) -> None:
    machine = Machine(tmp_path, has_log=False, has_counter=False)
    async with running_group(tmp_path, memory=machine.sources()) as group:
        incident = await kill_rank_1(group, machine)
    assert "who sent it is not known, nor whether memory ran out" in incident.message
    assert incident.confidence is Confidence.POSSIBLE
    assert any(line.startswith("no answer from: the kernel log") for line in incident.evidence)


async def test_a_jetsam_report_that_comes_later_completes_the_incident(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with running_group(tmp_path, memory=machine.sources(OperatingSystem.DARWIN)) as group:
        await group.ready(1)
        pid = group.pids()[1]
        incident = await kill_rank_1(group, machine)
        assert "because memory" not in incident.message
        await group.ready(2)
        machine.reported(pid)
        known = group.recorder.incidents
        await eventually(lambda: "because memory ran out" in known[incident.incident_id].message, "the report is read")
        later = known[incident.incident_id]
    assert later.message.endswith(f"the system names it: pid {pid}, with 1.0 GiB of memory.")
    assert (later.confidence, later.advice, later.rank) == (Confidence.CERTAIN, OUT_OF_MEMORY_ADVICE, 1)
    assert f"JetsamEvent-2026-01-02-030405.ips: pid {pid} (python3.12) was killed" in later.evidence[0]
    assert later.recovered_after_s is not None
    assert later.task_ids == incident.task_ids


async def test_what_is_asked_never_delays_the_error_beyond_its_bound(tmp_path: Path) -> None:
    """A log that blocks for ever: a pipe that somebody holds open is read without waiting, a counter is not."""
    machine = Machine(tmp_path, has_counter=False)
    os.mkfifo(machine.cgroups.parent / "stuck")
    machine.cgroups.mkdir()
    (machine.cgroups / "memory.events").symlink_to(machine.cgroups.parent / "stuck")
    sources = MemorySources(cgroup_folder=machine.cgroups, kernel_log=machine.log, system=OperatingSystem.LINUX)
    try:
        async with running_group(tmp_path, memory=sources) as group:
            await group.ready(1)
            stream = group.start_task("a")
            await listen(stream, tokens=5)
            os.kill(group.pids()[1], signal.SIGKILL)
            killed_at = time.monotonic()
            incident = the_error(await listen(stream)).incident
            took_s = time.monotonic() - killed_at
            assert incident.rank == 1
            assert any("too long to answer" in line for line in incident.evidence) or sys.platform == "darwin"
            assert took_s < 0.25 + 0.5 + 0.5
            await group.ready(2)
    finally:
        # Whoever waits for the pipe's other end may go on now.
        os.close(os.open(machine.cgroups.parent / "stuck", os.O_RDWR | os.O_NONBLOCK))


@on_linux
async def test_a_real_kill_by_the_kernel(tmp_path: Path) -> None:
    """The runner takes more memory than its cgroup may have: the kernel does the rest."""
    fault = {"rank": 1, "at": "step", "step": 30, "generation": 1, "action": "take_memory", "count": 512}
    with real_cgroup(256 << 20) as folder:
        async with running_group(tmp_path, faults=[fault]) as group:
            await group.ready(1)
            pid = group.pids()[1]
            (folder / "cgroup.procs").write_text(str(pid))
            error = the_error(await listen(group.start_task("a")))
        await eventually(lambda: not (folder / "cgroup.procs").read_text(), "the cgroup is empty")
    incident = error.incident
    assert (incident.rank, incident.cause) == (1, Cause.KILLED_NO_STDERR)
    assert "because memory ran out" in incident.message
    assert incident.confidence in {Confidence.CERTAIN, Confidence.LIKELY}
    assert incident.advice == OUT_OF_MEMORY_ADVICE
    if incident.confidence is Confidence.CERTAIN:
        assert f"pid {pid}" in incident.message
