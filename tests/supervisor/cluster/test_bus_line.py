"""What all ranks of a node say of it at once goes over the bus once."""

import anyio

from supervisor.cluster.bus_line import BusLine
from tests.transports.cluster.bus_harness import eventually, running_cluster
from transports.cluster.messages import Answer, Ask, RankCommand, TasksInFlight, ToNode
from transports.cluster.requests import ObserveRanks, RankObserved, RanksObserved
from transports.messages import Shutdown


async def test_ranks_of_one_node_tell_it_once_how_many_tasks_are_owed() -> None:
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        line = BusLine(cluster.head, "n1")
        told: list[TasksInFlight | RankCommand] = [TasksInFlight(1, tasks) for tasks in (1, 1, 1, 2, 2, 0, 0, 1)]
        told += [RankCommand(1, 0, Shutdown()), RankCommand(1, 0, Shutdown()), TasksInFlight(1, 1)]
        for order in (*told, TasksInFlight(2, 1)):
            line.order(order)
        await eventually(lambda: node.record.messages[-1:] == [TasksInFlight(2, 1)], "the last order")
        owed = [(one.generation, one.tasks) for one in node.record.messages if isinstance(one, TasksInFlight)]
        assert owed == [(1, 1), (1, 2), (1, 0), (1, 1), (2, 1)]
        assert sum(isinstance(one, RankCommand) for one in node.record.messages) == 2


async def test_a_node_that_was_away_is_told_later() -> None:
    async with running_cluster() as cluster:
        line = BusLine(cluster.head, "n1")
        line.order(TasksInFlight(1, 1))
        node = await cluster.joined("n1")
        line.order(TasksInFlight(1, 1))
        await eventually(lambda: node.record.messages == [TasksInFlight(1, 1)], "the order")


async def test_ranks_of_one_node_look_at_it_together() -> None:
    seen = tuple(RankObserved(rank, stopped=False, cpu_share=0.5) for rank in range(8))
    async with running_cluster() as cluster:
        node = await cluster.joined("n1")
        line = BusLine(cluster.head, "n1")
        asked: list[ToNode] = node.record.messages
        answers: list[tuple[RankObserved, ...]] = []

        async def look() -> None:
            answers.append(await line.observe(1, 0.1))

        for looks in (1, 2):
            async with anyio.create_task_group() as tasks:
                for _ in seen:
                    tasks.start_soon(look)
                await eventually(lambda: len(asked) == looks, "the question")  # noqa: B023 - it is awaited here
                question = asked[-1]
                assert isinstance(question, Ask)
                assert question.request == ObserveRanks(1, 0.1)
                node.bus.send(Answer(question.request_id, RanksObserved(seen)))
        assert answers == [seen] * 16
        assert len(asked) == 2
