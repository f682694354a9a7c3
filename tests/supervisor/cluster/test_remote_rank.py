"""A rank elsewhere looks like one here: to its group, and whatever its node sends."""

import anyio
import pytest

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from diagnostics.phase import Phase
from supervisor.cluster.cluster_start import configure_rank
from supervisor.cluster.lost_node import certificate_of_lost_node
from supervisor.cluster.remote_rank import RemoteRank
from tests.supervisor.cluster.lines import FakeLine, HeardRunners, certificate, running
from tests.supervisor.cluster.specs import spec
from transports.cluster.messages import (
    CondemnRank,
    DumpStacks,
    RankCommand,
    RankDied,
    RankEvent,
    RankOrder,
    RankStarted,
    RankUnkillable,
    StartRank,
    StopRank,
    TasksInFlight,
)
from transports.cluster.requests import NodeAnswer, ObserveRanks, RankObserved, RanksObserved
from transports.messages import PhaseChanged, Shutdown
from transports.progress import Progress

pytestmark = pytest.mark.anyio


def made(
    observer: HeardRunners | None = None, *, adopted: bool = False, answers: dict[type, NodeAnswer] | None = None
) -> tuple[RemoteRank, FakeLine]:
    line = FakeLine("a", answers)
    start = StartRank(configure_rank(spec(), "tiny", 1, 0), {}, {}, "plan")
    known = running(0, generation=1) if adopted else None
    return RemoteRank(start, line, observer or HeardRunners(), late_within_s=5.0, adopted=known), line


async def test_it_is_started_by_its_node_and_ends_with_its_nodes_word() -> None:
    observer = HeardRunners()
    rank, line = made(observer)
    async with anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def run() -> None:
            assert await rank.run() == certificate(0)
            ended.set()

        tasks.start_soon(run)
        await anyio.lowlevel.checkpoint()
        rank.deliver(RankStarted(1, 0, 4711))
        rank.deliver(RankEvent(1, 0, PhaseChanged(Phase.LOADING, 3, 28)))
        rank.deliver(RankEvent(1, 0, Progress(41)))
        assert (rank.pid, rank.phase, rank.progress, rank.step) == (4711, Phase.LOADING, "3/28", 41)
        rank.deliver(RankUnkillable(1, 0, 4712))  # nobody has tried to end it
        rank.stop(gracefully=False)
        rank.deliver(RankUnkillable(1, 0, 4711))
        rank.deliver(RankDied(certificate(0)))
        with anyio.fail_after(10):
            await ended.wait()
    assert [type(order) for order in line.orders] == [StartRank, StopRank]
    assert [event for _, event in observer.events] == [PhaseChanged(Phase.LOADING, 3, 28), Progress(41)]
    assert observer.unkillable == [(0, 4711)]


async def test_orders_go_to_its_node_until_it_is_dead() -> None:
    rank, line = made()
    finding = SupervisorFinding(Cause.STALLED, "stood still")
    rank.send(Shutdown())
    rank.tasks_in_flight(3)
    rank.stop(gracefully=True)
    rank.condemn(finding)
    rank.dump_stacks()
    expected: list[RankOrder] = [
        RankCommand(1, 0, Shutdown()),
        TasksInFlight(1, 3),
        StopRank(1, 0, gracefully=True),
        CondemnRank(1, 0, finding),
        DumpStacks(1, 0),
    ]
    assert line.orders == expected
    rank.end(certificate(0))
    rank.send(Shutdown())
    rank.stop(gracefully=False)
    assert line.orders == expected


async def test_one_that_runs_already_is_not_started_again() -> None:
    rank, line = made(adopted=True)
    assert (rank.pid, rank.phase, rank.step) == (100, Phase.READY, 7)
    rank.end(certificate(0))
    with anyio.fail_after(10):
        await rank.run()
    assert line.orders == []


async def test_cancelling_it_ends_the_runner() -> None:
    rank, line = made()
    with anyio.move_on_after(0.05):
        await rank.run()
    assert line.orders[-1] == StopRank(1, 0, gracefully=False)


async def test_nothing_counts_after_its_death() -> None:
    observer = HeardRunners()
    rank, _ = made(observer)
    rank.end(certificate(0))
    rank.deliver(RankEvent(1, 0, Progress(99)))
    assert (rank.step, observer.events) == (0, [])


async def test_what_its_node_tells_after_it_was_lost_is_the_late_certificate() -> None:
    rank, _ = made()
    rank.end(certificate_of_lost_node(0, 1, "a", "it was silent", Phase.RUNNING, 3, 1.0))
    with anyio.fail_after(10):
        await rank.run()
    rank.deliver(RankDied(certificate(0)))
    with anyio.fail_after(10):
        assert await rank.late_certificate() == certificate(0)


async def test_it_is_observed_by_its_node() -> None:
    answer = RanksObserved((RankObserved(1, False, 0.9), RankObserved(0, True, 0.0)))
    rank, _ = made(answers={ObserveRanks: answer})
    seen = await rank.observe(0.1)
    assert (seen.rank, seen.stopped, seen.cpu_share) == (0, True, 0.0)


async def test_a_node_that_does_not_answer_tells_nothing() -> None:
    rank, _ = made()
    seen = await rank.observe(0.1)
    assert (seen.stopped, seen.cpu_share) == (False, None)
