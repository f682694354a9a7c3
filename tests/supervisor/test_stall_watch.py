"""The shell of the watchdog over handles of ranks that may run anywhere: the order of its acts, and what stops it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

import anyio
import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.core.watchdog import RankObservation
from supervisor.rank_handle import RankHandle
from supervisor.stall_watch import StallWatch
from tests.supervisor.group_harness import eventually
from transports.progress import Activity, Collective, Progress

pytestmark = pytest.mark.anyio
STALL_S = 0.3


class Handle:
    """A rank on some node, as far as the watch uses it; writes down what is done to whom."""

    def __init__(self, rank: int, acts: list[tuple[str, int]], *, stopped: bool = False) -> None:
        self.rank = rank
        self.acts = acts
        self.stopped = stopped
        self.step = 7
        self.findings: list[SupervisorFinding] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def dump_stacks(self) -> None:
        self.acts.append(("dump", self.rank))

    async def observe(self, observe_s: float) -> RankObservation:
        self.acts.append(("observe", self.rank))
        await anyio.sleep(observe_s / 10)
        self.meanwhile()
        return RankObservation(self.rank, self.step, self.stopped, cpu_share=None)

    def condemn(self, finding: SupervisorFinding) -> None:
        self.acts.append(("condemn", self.rank))
        self.findings.append(finding)


@asynccontextmanager
async def watched(handles: list[Handle], start_limit_s: float = 60.0) -> AsyncGenerator[StallWatch]:
    ranks = cast(dict[int, RankHandle], {handle.rank: handle for handle in handles})
    watch = StallWatch(STALL_S, ranks, start_limit_s=start_limit_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.watch)
        yield watch
        tasks.cancel_scope.cancel()


async def test_all_stacks_are_asked_for_before_anybody_is_looked_at_and_only_the_one_behind_is_ended() -> None:
    acts: list[tuple[str, int]] = []
    handles = [Handle(rank, acts, stopped=rank == 2) for rank in range(3)]
    async with watched(handles) as watch:
        watch.begin()
        watch.busy(is_busy=True)
        for rank in range(3):
            watch.progress(rank, Progress(7, Activity.DECODE, Collective("step", 9, ended=False)))
        await eventually(lambda: bool(handles[2].findings), "rank 2 is condemned")
    assert [act for act, _ in acts] == ["dump"] * 3 + ["observe"] * 3 + ["condemn"]
    (finding,) = handles[2].findings
    assert finding.kind is Cause.STALLED
    place = "step 7 in collective 'step' 9, like the others; its process is stopped"
    assert finding.message.endswith(f"it was decoding (budget 0.3 s) and stands at {place}")


async def test_a_word_that_comes_while_they_are_looked_at_saves_them_all() -> None:
    acts: list[tuple[str, int]] = []
    handles = [Handle(rank, acts) for rank in range(2)]
    async with watched(handles) as watch:
        watch.begin()

        def moved() -> None:
            for rank in range(2):
                watch.progress(rank, Progress(8, Activity.DECODE))

        # The same word again, at the second look, is no progress.
        handles[1].meanwhile = moved
        watch.busy(is_busy=True)
        await eventually(lambda: acts.count(("condemn", 1)) == 1, "they stood still after all")
    # The first look ended nobody; only the second one did.
    assert acts.count(("observe", 1)) == 2
    assert acts.index(("condemn", 1)) > len(acts) - 3


async def test_a_generation_is_watched_from_its_start_and_not_after_its_end() -> None:
    acts: list[tuple[str, int]] = []
    handles = [Handle(0, acts), Handle(1, acts)]
    async with watched(handles, start_limit_s=STALL_S) as watch:
        watch.begin_start()
        watch.end()
        await anyio.sleep(2 * STALL_S)
        assert acts == []
        watch.begin_start()
        watch.progress(1, Progress(1, Activity.LOADING))
        handles[0].step = 0
        await eventually(lambda: bool(handles[0].findings), "rank 0 is condemned")
    assert "it was connecting (budget 0.3 s) and stands at step 0" in handles[0].findings[0].message
    assert handles[1].findings == []


async def test_nobody_is_looked_at_without_a_request() -> None:
    acts: list[tuple[str, int]] = []
    async with watched([Handle(0, acts)]) as watch:
        watch.begin()
        watch.busy(is_busy=True)
        watch.busy(is_busy=False)
        await anyio.sleep(3 * STALL_S)
    assert acts == []
