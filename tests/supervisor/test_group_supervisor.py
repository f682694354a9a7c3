"""A real group of scripted runners: serves, fails as one, tells every client, serves again."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from diagnostics.cause import Cause
from supervisor.channel_end import ChannelFull
from supervisor.core.group_messages import RankUnkillable
from supervisor.core.restart import RestartLimits
from tests.supervisor.group_harness import ENDLESS, eventually, is_gone, listen, running_group, the_error
from transports.http.gateway import GroupState
from transports.messages import SamplingParameters, TaskFinished, TextPrompt, TokenChunk

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


async def test_a_task_is_answered_to_its_end(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        events = await listen(group.start_task("a", SamplingParameters(temperature=0.0, max_tokens=20)))
    assert sum(isinstance(event, TokenChunk) for event in events) == 20
    assert events[-1] == TaskFinished("a", "length", 3, 20)


@pytest.mark.parametrize("rank", [0, 1])
async def test_a_killed_rank_ends_the_stream_with_its_name_and_the_group_serves_again(
    tmp_path: Path, rank: int
) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        pids = group.pids()
        stream = group.start_task("a")
        heard = await listen(stream, tokens=5)
        os.kill(pids[rank], signal.SIGKILL)
        error = the_error(await listen(stream))
        assert error.incident.rank == rank
        assert error.incident.cause is Cause.KILLED_NO_STDERR
        assert f"Rank {rank} " in error.incident.message
        assert error.tokens_emitted >= sum(isinstance(event, TokenChunk) for event in heard)
        await group.ready(2)
        assert all(is_gone(pid) for pid in pids.values())
        events = await listen(group.start_task("b", SamplingParameters(temperature=0.0, max_tokens=5)))
        assert isinstance(events[-1], TaskFinished)
        incident = group.recorder.incidents[error.incident.incident_id]
        assert incident.recovered_after_s is not None
        assert [certificate.rank for certificate in incident.certificates] == [0, 1]
        assert sorted(failed.rank for failed in group.recorder.failed) == [0, 1]


async def test_both_ranks_killed_at_once_are_both_named(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        stream = group.start_task("a")
        await listen(stream, tokens=5)
        for pid in group.pids().values():
            os.kill(pid, signal.SIGKILL)
        incident = the_error(await listen(stream)).incident
        assert incident.cause is Cause.KILLED_NO_STDERR
        assert {incident.rank, *incident.suspects} == {0, 1}
        await group.ready(2)


async def test_many_tasks_each_get_one_end(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        streams = [group.start_task(f"task-{number}") for number in range(8)]
        await listen(streams[0], tokens=3)
        os.kill(group.pids()[1], signal.SIGKILL)
        for stream in streams:
            assert the_error(await listen(stream)).incident.rank == 1


async def test_a_group_that_keeps_failing_is_given_up_with_a_reason(tmp_path: Path) -> None:
    faults = [{"rank": 1, "at": "load", "step": 1, "action": "exit", "exit_code": 3, "generation": None}]
    limits = RestartLimits(first_delay_s=0.01, cap_s=0.02, intensity=2)
    async with running_group(tmp_path, faults=faults, restart=limits) as group:
        await group.state(GroupState.FAILED)
        assert group.supervisor.group.generation == 3
        reason = group.supervisor.group.reason
        assert reason is not None
        assert "failed 3 times" in reason
        assert "ank 1" in reason
        assert group.pids() == {}


async def test_stopping_tells_the_clients_and_ends_all_processes(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        pids = group.pids()
        stream = group.start_task("a")
        await listen(stream, tokens=2)
        group.supervisor.stop()
        error = the_error(await listen(stream))
        assert error.incident.cause is Cause.KILLED_BY_SUPERVISOR
        assert error.incident.rank is None
        await group.state(GroupState.STOPPED)
        assert all(is_gone(pid) for pid in pids.values())
        assert group.recorder.failed == []


async def test_stopping_while_a_restart_is_waited_for_needs_no_runner(tmp_path: Path) -> None:
    faults = [{"rank": 0, "at": "load", "action": "sigkill"}]
    async with running_group(tmp_path, faults=faults, restart=RestartLimits(first_delay_s=60.0, cap_s=60.0)) as group:
        await group.until(lambda: group.supervisor.restart_in_s is not None, "waiting for the restart")
    assert group.recorder.states[-1] is GroupState.STOPPED


async def test_a_listener_that_leaves_cancels_its_task_only(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        left, stays = group.start_task("left"), group.start_task("stays")
        await listen(left, tokens=3)
        group.supervisor.leave_task(left.task_id)
        await listen(stays, tokens=3)
        with anyio.fail_after(20):
            while len(group.supervisor.tasks) > 1:
                await listen(stays, tokens=1)
        assert group.supervisor.tasks.open_ids() == ("stays",)


@pytest.mark.soak
async def test_a_runner_that_reads_no_commands_can_be_left_and_stopped(tmp_path: Path) -> None:
    async with running_group(tmp_path, faults=[{"rank": 0, "at": "step", "step": 3, "action": "sigstop"}]) as group:
        await group.ready(1)
        stream = group.start_task("stuck")
        await listen(stream, tokens=1)
        large = TextPrompt("word " * 2_000_000)
        with pytest.raises(ChannelFull):
            for number in range(10):
                group.supervisor.start_task(f"large-{number}", large, ENDLESS)
        group.supervisor.leave_task(stream.task_id)
        group.supervisor.stop()
        await group.state(GroupState.STOPPED)


async def test_requests_of_a_group_that_cannot_even_be_ended_get_their_end(tmp_path: Path) -> None:
    async with running_group(tmp_path) as group:
        await group.ready(1)
        pids = group.pids()
        stream = group.start_task("a")
        await listen(stream, tokens=3)
        group.supervisor._feed(RankUnkillable(1, pids[1]))
        error = the_error(await listen(stream))
        assert (group.supervisor.group.state, error.incident.retryable) == (GroupState.FAILED, False)
        assert f"Process {pids[1]} of rank 1 outlived SIGKILL" in error.incident.message
        await eventually(lambda: not group.supervisor.runners, "the release of the ranks that can be ended")
        assert all(is_gone(pid) for pid in pids.values())
