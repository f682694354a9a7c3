"""The gateway over a real scripted group: held while it starts, refused when there is no hope, cancelled when left."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from diagnostics.phase import Phase
from supervisor.core.restart import RestartLimits
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.journal.records import NoJournal
from supervisor.local_gateway import LocalGateway
from supervisor.observation import ErrorPolicy, Observation
from tests.supervisor.group_harness import ENDLESS, RunningGroup, each_event, eventually, running_group
from tests.supervisor.test_observation import Witness
from transports.http.gateway import GroupState, Refusal, RefusalCode
from transports.messages import SamplingParameters, TaskFinished, TextPrompt, TokenChunk

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
PROMPT = TextPrompt("a few words")
SHORT = SamplingParameters(temperature=0.0, max_tokens=3)


@asynccontextmanager
async def gateway(
    folder: Path, *, max_open_tasks: int = 8, admission_wait_s: float = 30.0, **arguments: Any
) -> AsyncGenerator[tuple[LocalGateway, RunningGroup]]:
    async with running_group(folder, **arguments) as group:
        incidents = RecentIncidents(NoJournal(), folder / "journal.db")
        limits = {"max_open_tasks": max_open_tasks, "admission_wait_s": admission_wait_s}
        yield LocalGateway(group.supervisor, incidents, **limits), group


async def refusal(gate: LocalGateway, model: str = "scripted") -> Refusal:
    with pytest.raises(Refusal) as caught:
        async with gate.submit(model, PROMPT, SHORT, "req-1"):
            pass
    return caught.value


async def test_a_request_waits_for_a_group_that_starts(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (gate, _), gate.submit("scripted", PROMPT, SHORT, "req-1") as stream:
        assert stream.task_id == "req-1"
        with anyio.fail_after(30):
            events = [event async for event in each_event(stream)]
        assert isinstance(events[-1], TaskFinished)
        assert gate.models()[0].context_tokens == 4096


async def test_a_request_is_refused_with_a_time_when_the_wait_is_over(tmp_path: Path) -> None:
    async with gateway(tmp_path, admission_wait_s=0.05, script={"layer_interval_s": 60.0}) as (gate, _):
        refused = await refusal(gate)
        assert refused.code is RefusalCode.MODEL_LOADING
        assert refused.retry_after_s is not None
        assert not gate.ready()


async def test_an_observer_that_forbids_a_task_is_named_in_the_refusal(tmp_path: Path) -> None:
    observation = Observation("run-1", observers=[Witness("on_task_start")], policy=ErrorPolicy.FAIL_FAST)
    async with gateway(tmp_path, observation=observation) as (gate, group):
        refused = await refusal(gate)
        assert refused.code is RefusalCode.TASK_FAILED
        assert "no on_task_start today" in refused.message
        assert len(group.supervisor.tasks) == 0


async def test_a_model_that_is_not_served(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (gate, _):
        refused = await refusal(gate, model="gpt-9")
        assert refused.code is RefusalCode.MODEL_NOT_FOUND
        assert "scripted" in refused.message


async def test_one_request_too_many(tmp_path: Path) -> None:
    async with gateway(tmp_path, max_open_tasks=1) as (gate, group):
        await group.ready(1)
        async with gate.submit("scripted", PROMPT, ENDLESS, "req-0") as stream:
            assert (await refusal(gate)).code is RefusalCode.QUEUE_FULL
            with anyio.fail_after(30):
                async for event in each_event(stream):
                    if isinstance(event, TokenChunk):
                        break
        await eventually(lambda: len(group.supervisor.tasks) == 0, "the task that was left is cancelled")
        async with gate.submit("scripted", PROMPT, SHORT, "req-1"):
            pass


async def test_a_group_that_was_given_up_refuses_at_once_with_its_reason(tmp_path: Path) -> None:
    faults = [{"rank": 1, "at": "load", "action": "sigkill", "generation": None}]
    limits = RestartLimits(first_delay_s=0.01, intensity=0)
    async with gateway(tmp_path, faults=faults, restart=limits) as (gate, group):
        await group.state(GroupState.FAILED)
        refused = await refusal(gate)
        assert refused.code is RefusalCode.CLUSTER_DEGRADED
        assert refused.retry_after_s is None
        assert refused.incident is not None
        assert refused.incident.rank == 1
        assert "Rank 1" in refused.message
        view = gate.cluster()
        assert view.state is GroupState.FAILED
        assert [(rank.pid, rank.state) for rank in view.ranks] == [(None, Phase.FAILED)] * 2


async def test_a_group_that_stops_refuses_what_a_retry_can_help(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (gate, group):
        await group.ready(1)
        group.supervisor.stop()
        refused = await refusal(gate)
        assert (refused.code, refused.incident) == (RefusalCode.SERVICE_STOPPING, None)
        assert refused.retry_after_s is not None


async def test_the_cluster_view_shows_what_runs(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (gate, group):
        await group.ready(1)
        view = gate.cluster()
        assert {rank.rank: rank.pid for rank in view.ranks} == group.pids()
        assert {rank.state for rank in view.ranks} == {Phase.READY}
        assert (view.generation, view.world_size, view.restarts, view.reason) == (1, 2, 0, None)
