"""A node's ranks, as real processes: what the head orders is done, and what they do is told."""

import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from diagnostics.phase import Phase
from supervisor.cluster.node_ranks import NodeRanks
from supervisor.cluster.prepared_models import PreparedModels
from supervisor.core.lifecycle import LifecycleLimits
from supervisor.guard import Guard
from supervisor.runner_supervisor import RunnerLimits
from tests.supervisor.group_harness import ENDLESS, SCRIPTED_ENGINE, eventually, is_gone
from transports.cluster.messages import (
    CondemnRank,
    FromNode,
    RankCommand,
    RankDied,
    RankEvent,
    RankStarted,
    StartRank,
    StopRank,
)
from transports.messages import Configure, PhaseChanged, StartTask, TaskFinished, TextPrompt, TokenChunk

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


class Told:
    """What a head would hear, and what the node keeps."""

    def __init__(self) -> None:
        self.messages: list[FromNode] = []
        self.output: dict[int, bytes] = {}

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Not looked at."""

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Not looked at."""

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Remember."""
        self.output[rank] = self.output.get(rank, b"") + data

    def events(self, kind: type) -> list[Any]:
        """The runners' events of one kind."""
        return [one.event for one in self.messages if isinstance(one, RankEvent) and isinstance(one.event, kind)]

    def certificates(self) -> list[RankDied]:
        """The deaths."""
        return [one for one in self.messages if isinstance(one, RankDied)]

    def is_ready(self) -> bool:
        """Whether a rank has said so."""
        return any(event.phase is Phase.READY for event in self.events(PhaseChanged))


@asynccontextmanager
async def node(folder: Path, faults: list[dict[str, Any]] | None = None) -> AsyncGenerator[tuple[NodeRanks, Told]]:
    told = Told()
    models = PreparedModels(lambda line: None)
    await models.prepare("tiny")
    environment = {**os.environ, "FAULT_ENGINE_FAULTS": json.dumps(faults or []), "FAULT_ENGINE_SCRIPT": "{}"}
    limits = RunnerLimits(LifecycleLimits(start_timeout_s=30.0, fatal_grace_s=0.5))
    with Guard() as guard:
        ranks = NodeRanks(
            folder=folder,
            environment=environment,
            limits=limits,
            guard=guard,
            models=models,
            output=told,
            tell=told.messages.append,
        )
        ranks.node = "mini-1"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ranks.run)
            await anyio.lowlevel.checkpoint()
            try:
                yield ranks, told
            finally:
                with anyio.CancelScope(shield=True), anyio.fail_after(30):
                    ranks.stop_all(gracefully=False)
                    await ranks.until_gone()
                tasks.cancel_scope.cancel()


def start(generation: int = 1) -> StartRank:
    configure = Configure(0, 1, generation, SCRIPTED_ENGINE, "tiny", "tensor", "none", 8, 512, 10.0)
    return StartRank(configure, {"WHERE": "{folder}/note.txt"}, {"note.txt": "hello", "../escape.txt": "no"}, "plan")


async def until(condition: Callable[[], bool], what: str) -> None:
    await eventually(condition, what)


async def test_a_rank_is_started_serves_and_is_ended(tmp_path: Path) -> None:
    async with node(tmp_path) as (ranks, told):
        ranks.order(start())
        await until(told.is_ready, "the rank is ready")
        ranks.order(RankCommand(1, 0, StartTask("t-1", TextPrompt("a few words"), ENDLESS)))
        await until(lambda: len(told.events(TokenChunk)) > 3, "tokens")
        (described,) = ranks.running()
        assert (described.generation, described.rank, described.plan, described.backend) == (1, 0, "plan", "none")
        assert described.facts is not None
        (started,) = [one for one in told.messages if isinstance(one, RankStarted)]
        assert started.pid == described.pid
        ranks.cancel_tasks()
        await until(lambda: bool(told.events(TaskFinished)), "the end of the task")
        ranks.order(StopRank(1, 0, gracefully=True))
        with anyio.fail_after(20):
            await ranks.until_gone()
        (death,) = told.certificates()
        assert (death.certificate.node, death.certificate.rank) == ("mini-1", 0)
        assert is_gone(started.pid)
    folder = tmp_path / "generation-1" / "rank-0"
    assert (folder / "note.txt").read_text() == "hello"
    assert (folder / "escape.txt").exists()
    assert not (tmp_path / "generation-1" / "escape.txt").exists()


async def test_a_death_is_told_and_remembered(tmp_path: Path) -> None:
    faults = [{"at": "load", "rank": 0, "action": "sigsegv"}]
    async with node(tmp_path, faults) as (ranks, told):
        ranks.order(start())
        with anyio.fail_after(30):
            await until(lambda: bool(told.certificates()), "the death")
        (death,) = told.certificates()
        assert death.certificate.diagnosis.cause is Cause.SEGFAULT
        assert ranks.unreported_deaths() == (death.certificate,)
        assert ranks.running() == ()


async def test_a_condemned_rank_says_what_the_head_found(tmp_path: Path) -> None:
    async with node(tmp_path) as (ranks, told):
        ranks.order(start())
        await until(told.is_ready, "the rank is ready")
        ranks.order(CondemnRank(1, 0, SupervisorFinding(Cause.STALLED, "stood still")))
        with anyio.fail_after(20):
            await ranks.until_gone()
        assert told.certificates()[0].certificate.diagnosis.cause is Cause.STALLED


async def test_what_is_older_than_the_fence_is_ended_and_never_started_again(tmp_path: Path) -> None:
    async with node(tmp_path) as (ranks, told):
        ranks.order(start(generation=3))
        await until(told.is_ready, "the rank is ready")
        assert len(ranks.pids(before_generation=4)) == 1
        ranks.fence(4)
        with anyio.fail_after(20):
            await ranks.until_gone(4)
        assert ranks.pids(before_generation=4) == ()
        ranks.order(start(generation=3))
        assert ranks.running() == ()


async def test_orders_about_ranks_that_are_not_there_mean_nothing(tmp_path: Path) -> None:
    async with node(tmp_path) as (ranks, told):
        ranks.order(StopRank(1, 0, gracefully=True))
        ranks.order(RankCommand(2, 1, StartTask("t", TextPrompt("x"), ENDLESS)))
        assert told.messages == []


async def test_a_model_that_was_not_prepared_is_a_death_that_says_so(tmp_path: Path) -> None:
    async with node(tmp_path) as (ranks, told):
        order = start()
        configure = Configure(0, 1, 1, SCRIPTED_ENGINE, "another", "tensor", "none", 8, 512, 10.0)
        ranks.order(StartRank(configure, order.environment, order.files, order.plan))
        (death,) = told.certificates()
        assert "another" in death.certificate.diagnosis.message
