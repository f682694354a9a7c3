"""A head that starts again: what it hears of its nodes decides between going on and starting after."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from diagnostics.phase import Phase
from supervisor.cluster.roster import Roster
from supervisor.cluster.takeover import Takeover
from supervisor.core.adoption import Plan
from supervisor.generation_start import Earlier
from tests.supervisor.cluster.lines import HeardRunners, certificate, hello, lines, running
from tests.supervisor.cluster.specs import spec
from transports.messages import ModelFacts

pytestmark = pytest.mark.anyio


class Finding:
    """A takeover that runs while nodes come."""

    def __init__(self, roster: Roster, observer: HeardRunners) -> None:
        self.roster = roster
        self.observer = observer
        self.found: list[Earlier] = []
        self.done = anyio.Event()

    async def result(self) -> Earlier:
        with anyio.fail_after(20):
            await self.done.wait()
        return self.found[0]


@asynccontextmanager
async def finding(
    *, wait_s: float, last_generation: int = 5, nodes: tuple[str, ...] = ("a", "b")
) -> AsyncGenerator[Finding]:
    roster = Roster(node_return_s=10.0)
    _, line = lines("a", "b", "c")
    takeover = Takeover(
        spec=spec(),
        plan=Plan("plan", None, frozenset(nodes)),
        model="tiny",
        roster=roster,
        line=line,
        last_generation=last_generation,
        incidents=tuple,
        wait_s=wait_s,
    )
    state = Finding(roster, HeardRunners())

    async def find() -> None:
        state.found.append(await takeover.find(state.observer))
        state.done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(find)
        yield state
        tasks.cancel_scope.cancel()


async def test_a_whole_group_is_taken_over_with_what_it_said_of_its_model() -> None:
    async with finding(wait_s=60.0) as state:
        state.roster.came("b", hello(2, running=(running(1),)), ())
        state.roster.came("a", hello(1, running=(running(0),)), ())
        earlier = await state.result()
    assert earlier.last_generation == 5
    assert earlier.running is not None
    taken, ranks = earlier.running
    assert (taken.world_size, taken.parallel, taken.backend) == (2, "tensor", "ring")
    assert [(rank.rank, rank.node, rank.pid, rank.phase) for rank in ranks] == [
        (0, "a", 100, Phase.READY),
        (1, "b", 101, Phase.READY),
    ]
    assert [type(event) for _, event in state.observer.events] == [ModelFacts]


async def test_half_a_group_is_not() -> None:
    async with finding(wait_s=60.0) as state:
        state.roster.came("a", hello(1, running=(running(0),)), ())
        state.roster.came("b", hello(2), ())
        assert await state.result() == Earlier(5)


async def test_a_group_of_which_a_rank_has_died_is_not() -> None:
    async with finding(wait_s=60.0) as state:
        state.roster.came("a", hello(1, running=(running(0),)), ())
        state.roster.came("b", hello(2, running=(running(1),), deaths=(certificate(1, generation=5),)), ())
        earlier = await state.result()
    assert (earlier.last_generation, earlier.running) == (5, None)


async def test_a_node_that_does_not_come_is_not_waited_for_any_longer_than_said() -> None:
    async with finding(wait_s=0.2) as state:
        state.roster.came("a", hello(1, running=(running(0),)), ())
        assert await state.result() == Earlier(5)


async def test_numbers_go_on_after_the_highest_that_anybody_saw() -> None:
    async with finding(wait_s=60.0, last_generation=3) as state:
        state.roster.came("a", hello(1, running=(running(0, generation=8, plan="another"),)), ())
        state.roster.came("b", hello(2), ())
        assert await state.result() == Earlier(8)


async def test_where_nothing_ran_nobody_is_waited_for() -> None:
    async with finding(wait_s=60.0, last_generation=0, nodes=()) as state:
        assert await state.result() == Earlier(0)
