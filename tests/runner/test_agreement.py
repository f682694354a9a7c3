"""Walks interleavings of supervisor, leader and followers: nobody is left alone in a round, every task is seen once.

The model has one round at a time: a rank that must attend enters, and the round happens when all ranks have entered.
Messages wait in one queue per rank until the schedule delivers them, in order, as the channel does.
"""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agreement import Follower, Leader
from runner.plan import Plan, PreparedTask, decode_plan, encode_plan
from transports.messages import SamplingParameters

RANKS = 3


def task(name: str) -> PreparedTask:
    return PreparedTask(name, (1, 2), SamplingParameters(max_tokens=3))


class World:
    """A supervisor's messages under way, the ranks' machines, and what each rank has in its engine."""

    def __init__(self) -> None:
        self.leader = Leader()
        self.followers = [Follower() for _ in range(RANKS - 1)]
        self.mail: list[deque[tuple[str, str]]] = [deque() for _ in range(RANKS)]
        self.entered: list[bool] = [False] * RANKS
        self.left = [False] * RANKS
        self.engines: list[dict[str, int]] = [{} for _ in range(RANKS)]
        self.admitted: list[list[str]] = [[] for _ in range(RANKS)]
        self.named: list[str] = []
        self.proposal = b""
        self.rounds = 0

    # --- the supervisor ---

    def start(self, name: str, kind: str) -> None:
        self.mail[0].append((kind, name))
        for rank in range(1, RANKS):
            self.mail[rank].append(("wake", name))

    def cancel(self, name: str) -> None:
        self.mail[0].append(("cancel", name))

    def shut_down(self) -> None:
        for box in self.mail:
            box.append(("shutdown", ""))

    # --- a rank's turn: take its mail between rounds, then enter if it must ---

    def turn(self, rank: int, letters: int) -> None:
        if self.entered[rank] or self.left[rank]:
            return
        for _ in range(min(letters, len(self.mail[rank]))):
            self.deliver(rank, *self.mail[rank].popleft())
        machine = self.leader if rank == 0 else self.followers[rank - 1]
        if machine.must_attend:
            self.enter(rank)

    def deliver(self, rank: int, kind: str, name: str) -> None:
        if rank > 0:
            follower = self.followers[rank - 1]
            follower.wake(name) if kind == "wake" else follower.shut_down()
        elif kind == "good":
            self.leader.admit(task(name))
        elif kind == "bad":
            self.leader.settle(name)
        elif kind == "cancel":
            self.leader.remove(name)
        else:
            self.leader.shut_down()

    def enter(self, rank: int) -> None:
        self.entered[rank] = True
        if rank == 0:
            self.proposal = encode_plan(self.leader.next_plan())
        for name in list(self.engines[rank]):  # the step: every rank ends a task in the same round
            self.engines[rank][name] -= 1
            if self.engines[rank][name] == 0:
                del self.engines[rank][name]
                if rank == 0:
                    self.leader.finished(name)
        if all(self.entered):
            self.agree(decode_plan(self.proposal))

    def agree(self, plan: Plan) -> None:
        self.rounds += 1
        self.entered = [False] * RANKS
        self.named += [*(prepared.task_id for prepared in plan.admit), *plan.settled]
        for rank in range(RANKS):
            for name in plan.remove:
                self.engines[rank].pop(name, None)
            for prepared in plan.admit:
                self.engines[rank][prepared.task_id] = 3
                self.admitted[rank].append(prepared.task_id)
            if rank > 0:
                self.followers[rank - 1].agreed(plan)
            self.left[rank] = plan.leave
        assert self.engines.count(self.engines[0]) == RANKS, "all ranks step the same batch"

    def settle(self) -> None:
        """Let everybody go on until nothing moves any more."""
        for _ in range(10_000):
            before = (self.rounds, [len(box) for box in self.mail], list(self.entered))
            for rank in range(RANKS):
                self.turn(rank, 1)
            if before == (self.rounds, [len(box) for box in self.mail], list(self.entered)):
                return
        raise AssertionError("the ranks never come to rest")


events = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["good", "good", "bad"])),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("turn"), st.integers(0, RANKS - 1), st.integers(0, 3)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(events, max_size=80), st.booleans(), st.lists(events, max_size=20))
def test_no_rank_is_left_alone_and_every_task_is_named_once(
    schedule: list[tuple[str, int, int]], shut_down: bool, after: list[tuple[str, int, int]]
) -> None:
    world = World()
    started: list[tuple[str, str]] = []
    stages = [schedule, [event for event in after if event[0] != "start"]] if shut_down else [schedule + after]
    for number, stage in enumerate(stages):
        if number == 1:
            world.shut_down()
        for event in stage:
            if event[0] == "start":
                started.append((f"task-{len(started)}", str(event[1])))
                world.start(*started[-1])
            elif event[0] == "cancel":
                world.cancel(f"task-{event[1]}")
            else:
                world.turn(event[1], event[2])
    world.settle()

    assert not any(world.entered), "a rank waits in a round that another never enters"
    assert not any(world.mail) or shut_down
    assert all(world.left) if shut_down else not any(world.left)
    assert all(not engine for engine in world.engines) or shut_down
    assert sorted(world.named) == sorted(name for name, _ in started), "each task is in exactly one plan"
    assert world.admitted.count(world.admitted[0]) == RANKS
    assert len(set(world.admitted[0])) == len(world.admitted[0])
    if not shut_down:
        assert not world.leader.must_attend
        assert not any(follower.must_attend for follower in world.followers)


def test_an_idle_world_runs_no_rounds() -> None:
    world = World()
    world.settle()
    assert world.rounds == 0


def test_the_empty_plan_costs_no_bytes() -> None:
    assert encode_plan(Plan()) == b""
    plan = Plan(admit=(task("a"),), remove=("b",), leave=True)
    assert decode_plan(encode_plan(plan)) == plan
