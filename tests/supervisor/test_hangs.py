"""Hangs of real processes are found in every phase and told well; what only takes long is none."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from diagnostics.cause import Cause
from diagnostics.incident import Incident
from diagnostics.phase import Phase
from tests.runner import random_model
from tests.supervisor.group_harness import RunningGroup, listen, running_group, the_error
from transports.messages import SamplingParameters, TaskFinished, TextPrompt

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]

SHORT = SamplingParameters(temperature=0.0, max_tokens=5)
# Twenty words teach the budget of decoding; each rank sends about four a second.
TOKENS_THAT_TEACH = 600


async def the_incident(group: RunningGroup) -> Incident:
    """The only incident, once everything about it is known."""
    await group.ready(2)
    (incident,) = group.recorder.incidents.values()
    return incident


def assert_stacks_of_all(incident: Incident, world_size: int) -> None:
    stacks = {certificate.rank: certificate.stacks for certificate in incident.certificates}
    assert sorted(stacks) == list(range(world_size))
    assert all("most recent call first" in text for text in stacks.values()), stacks


async def serves(group: RunningGroup) -> None:
    assert isinstance((await listen(group.start_task("next", SHORT)))[-1], TaskFinished)


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.soak), 1, pytest.param(2, marks=pytest.mark.soak)])
async def test_a_rank_stopped_while_decoding_is_named_within_its_learned_budget(tmp_path: Path, rank: int) -> None:
    script = {"token_interval_s": 0.005}
    async with running_group(tmp_path, script=script, world_size=3, stall_floor_s=2.0) as group:
        await group.ready(1)
        stream = group.start_task("a")
        await listen(stream, TOKENS_THAT_TEACH)
        stopped_at = time.monotonic()
        os.kill(group.pids()[rank], signal.SIGSTOP)
        error = the_error(await listen(stream))
        took_s = time.monotonic() - stopped_at
        assert (error.incident.cause, error.incident.rank) == (Cause.STALLED, rank), error.incident
        (budget_s,) = re.findall(r"budget ([\d.]+) s, learned", error.incident.message)
        # What comes on top: looking, the way down, the verdict, and a busy machine.
        assert took_s < float(budget_s) + 5.0
        assert "collective '" in error.incident.message
        assert error.incident.message.endswith("its process is stopped.")
        assert_stacks_of_all(await the_incident(group), 3)
        await serves(group)


@pytest.mark.parametrize(
    ("at", "phase", "told"),
    [
        pytest.param("connect", Phase.CONNECTING, "it was connecting", marks=pytest.mark.soak),
        ("load", Phase.LOADING, "it was loading (2 of 4, budget 6 s"),
        pytest.param("warm_up", Phase.WARMING_UP, "it was warming up", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("action", ["hang", pytest.param("sigstop", marks=pytest.mark.soak)])
async def test_a_hang_while_starting_is_found_before_the_start_times_out(
    tmp_path: Path, at: str, phase: Phase, told: str, action: str
) -> None:
    step = 2 if at == "load" else 0
    faults: list[dict[str, Any]] = [{"action": action, "at": at, "rank": 1, "step": step}]
    script = {"layer_interval_s": 0.4}
    async with running_group(tmp_path, faults=faults, script=script, start_stall_timeout_s=6.0) as group:
        incident = await the_incident(group)
        assert incident.cause is Cause.STALLED
        # Both wait in connecting, and neither has told more than that; a process that is stopped says it by itself.
        assert 1 in (incident.rank, *incident.suspects)
        if at != "connect" or action == "sigstop":
            assert incident.rank == 1
            assert incident.phase is phase
            assert told in incident.message
        assert_stacks_of_all(incident, 2)
        await serves(group)


@pytest.mark.soak
@pytest.mark.parametrize("rank", [0, 1])
async def test_a_hang_in_prefill_is_told_as_one(tmp_path: Path, rank: int) -> None:
    # The first chunk takes long enough to be told before the second hangs.
    script = {"prefill_chunk_tokens": 1, "token_interval_s": 0.6}
    faults = [{"action": "hang", "rank": rank, "step": 2}]
    async with running_group(tmp_path, faults=faults, script=script, stall_timeout_s=4.0) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (Cause.STALLED, rank), error.incident
        assert "it was prefilling (2 of 3, budget 4 s)" in error.incident.message
        assert_stacks_of_all(await the_incident(group), 2)


@pytest.mark.soak
async def test_a_hang_over_a_request_names_rank_0_and_not_those_that_wait(tmp_path: Path) -> None:
    faults = [{"action": "hang", "at": "prepare", "rank": 0}]
    async with running_group(tmp_path, faults=faults, world_size=3, stall_timeout_s=3.0) as group:
        await group.ready(1)
        error = the_error(await listen(group.start_task("a")))
        assert (error.incident.cause, error.incident.rank) == (Cause.STALLED, 0), error.incident
        assert "it was preparing a request" in error.incident.message
        assert_stacks_of_all(await the_incident(group), 3)


@pytest.mark.soak
async def test_a_long_prefill_that_moves_is_no_hang(tmp_path: Path) -> None:
    await prefill(tmp_path, chunks=16, chunk_s=0.5, stall_timeout_s=4.0)


@pytest.mark.soak
async def test_a_prefill_of_a_minute_is_no_hang(tmp_path: Path) -> None:
    await prefill(tmp_path, chunks=60, chunk_s=1.0, stall_timeout_s=10.0)


async def prefill(folder: Path, *, chunks: int, chunk_s: float, stall_timeout_s: float) -> None:
    script = {"prefill_chunk_tokens": 1, "token_interval_s": chunk_s}
    async with running_group(folder, script=script, stall_timeout_s=stall_timeout_s, stall_floor_s=1.0) as group:
        await group.ready(1)
        begun_at = time.monotonic()
        prompt = TextPrompt("word " * chunks)
        events = await listen(
            group.supervisor.start_task("a", prompt, SamplingParameters(max_tokens=1)), deadline_s=300
        )
        assert isinstance(events[-1], TaskFinished)
        assert time.monotonic() - begun_at > max(chunks * chunk_s, stall_timeout_s)
        assert group.recorder.failed == []


@pytest.mark.soak
async def test_a_slow_load_that_moves_is_no_hang_nor_is_the_rank_that_waits_for_it(tmp_path: Path) -> None:
    script = {"layers": 24}
    faults = [{"action": "sleep", "at": "load", "rank": 1, "step": layer, "seconds": 0.5} for layer in range(24)]
    async with running_group(tmp_path, faults=faults, script=script, start_stall_timeout_s=6.0) as group:
        begun_at = time.monotonic()
        await group.ready(1)
        assert time.monotonic() - begun_at > 12.0
        assert group.recorder.failed == []


@pytest.mark.soak
async def test_idle_is_no_hang(tmp_path: Path) -> None:
    await idle(tmp_path, idle_s=4.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_minutes_of_idleness_are_no_hang(tmp_path: Path) -> None:
    await idle(tmp_path, idle_s=600.0)


async def idle(folder: Path, *, idle_s: float) -> None:
    async with running_group(folder, stall_timeout_s=2.0, stall_floor_s=0.5, start_stall_timeout_s=20.0) as group:
        await group.ready(1)
        await serves(group)
        await anyio.sleep(idle_s)
        assert group.recorder.failed == []
        await serves(group)
        assert group.supervisor.group.generation == 1


@pytest.mark.mlx
@pytest.mark.soak
@pytest.mark.parametrize("rank", [0, 1])
async def test_a_stopped_rank_of_a_real_ring_is_named(tmp_path: Path, rank: int) -> None:
    model = random_model.build(tmp_path / "model")
    engine = "runner.mlx_engine:MlxEngine"
    async with running_group(tmp_path, engine=engine, model_path=model, stall_timeout_s=4.0) as group:
        await group.ready(1)
        stream = group.start_task("a", SamplingParameters(temperature=0.0, max_tokens=100_000, ignore_eos=True))
        await listen(stream, 20)
        os.kill(group.pids()[rank], signal.SIGSTOP)
        error = the_error(await listen(stream))
        assert (error.incident.cause, error.incident.rank) == (Cause.STALLED, rank), error.incident
        assert "its process is stopped" in error.incident.message
        assert_stacks_of_all(await the_incident(group), 2)
