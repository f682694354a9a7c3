"""The line of waiting tasks: against a model that keeps plain lists, in every order of events."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.core.task_queue import TaskQueue
from transports.messages import PrefillProgress, TaskAccepted, TaskQueued, TokenChunk


def queue_of(accepted: int, *, places: int = 2) -> TaskQueue:
    queue = TaskQueue(places)
    for number in range(accepted):
        queue.opened(str(number))
        queue.observe(TaskAccepted(str(number), 1))
    return queue


def test_the_first_who_has_to_wait_is_number_one() -> None:
    queue = queue_of(0)
    told: list[TaskQueued | None] = []
    for number in range(4):
        queue.opened(str(number))
        told.append(queue.observe(TaskAccepted(str(number), 1)))
    assert told == [None, None, TaskQueued("2", 1, 1), TaskQueued("3", 2, 2)]


def test_an_end_moves_everybody_behind_and_they_hear_of_it_once() -> None:
    queue = queue_of(5)
    queue.observe(PrefillProgress("0", 1, 1))
    queue.observe(PrefillProgress("1", 1, 1))
    assert queue.tick(0.0) == []
    queue.ended("1")
    assert queue.deadline is not None
    assert queue.tick(queue.deadline) == [TaskQueued("3", 1, 2), TaskQueued("4", 2, 2)]
    assert queue.deadline is None
    assert queue.positions() == {"3": 1, "4": 2}


def test_who_leaves_the_line_moves_those_behind_alone() -> None:
    queue = queue_of(6)
    queue.ended("3")
    assert queue.tick(0.0) == [TaskQueued("4", 2, 3), TaskQueued("5", 3, 3)]


def test_whoever_shows_work_has_a_place_even_beyond_their_number() -> None:
    queue = queue_of(4, places=1)
    for number in "012":
        queue.observe(TokenChunk(number, 0, 1, "x"))
    assert queue.positions() == {"3": 1}


def test_a_line_of_a_thousand_is_told_no_more_than_it_can_bear() -> None:
    queue = TaskQueue(1, max_events_per_s=200.0)
    for number in range(1001):
        queue.opened(str(number))
        queue.observe(TaskAccepted(str(number), 1))
    told = 0
    for step in range(1000):
        queue.observe(PrefillProgress(str(step), 1, 1))
        queue.ended(str(step))
        told += len(queue.tick(step * 0.01))
    assert told <= 200.0 * 10 + 1000


@given(st.lists(st.sampled_from(["0", "1", "unknown"]), max_size=5))
def test_what_it_was_never_told_of_changes_nothing(ids: list[str]) -> None:
    queue = TaskQueue(1)
    for task_id in ids:
        assert queue.observe(TaskAccepted(task_id, 1)) is None
        assert queue.observe(TokenChunk(task_id, 0, 1, "x")) is None
        queue.ended(task_id)
    assert (queue.waiting, queue.positions(), queue.deadline) == (0, {}, None)


class QueueAgainstLists(RuleBasedStateMachine):
    """Tasks come, are accepted, begin in any order and end at any moment, and time passes."""

    places = 2

    def __init__(self) -> None:
        super().__init__()
        self.queue = TaskQueue(self.places, max_events_per_s=10.0)
        self.opened: list[str] = []
        self.line: list[str] = []
        self.computing: list[str] = []
        self.told: dict[str, int] = {}
        self.now = 0.0
        self.number = 0

    @rule()
    def open(self) -> None:
        self.opened.append(f"t{self.number}")
        self.number += 1
        self.queue.opened(self.opened[-1])

    @precondition(lambda self: self.opened)
    @rule()
    def accept(self) -> None:
        task_id = self.opened.pop(0)
        self.line.append(task_id)
        self.hear(self.queue.observe(TaskAccepted(task_id, 3)))
        assert self.told.get(task_id) == self.expected().get(task_id)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(self.line))
        self.line.remove(task_id)
        self.computing.append(task_id)
        self.queue.observe(PrefillProgress(task_id, 1, 3))

    @precondition(lambda self: self.opened or self.line or self.computing)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from([*self.opened, *self.line, *self.computing]))
        for group in (self.opened, self.line, self.computing):
            if task_id in group:
                group.remove(task_id)
        self.told.pop(task_id, None)
        self.queue.ended(task_id)

    @rule(seconds=st.floats(0.0, 2.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for told in self.queue.tick(self.now):
            self.hear(told)
        if self.queue.deadline is None:
            expected = self.expected()
            assert all(self.told[task_id] == position for task_id, position in expected.items())

    def hear(self, told: TaskQueued | None) -> None:
        if told is not None:
            assert told.position == self.expected()[told.task_id]
            assert told.waiting == len(self.expected())
            assert self.told.get(told.task_id) != told.position
            self.told[told.task_id] = told.position

    def expected(self) -> dict[str, int]:
        free = max(0, self.places - len(self.computing))
        return {task_id: number for number, task_id in enumerate(self.line[free:], start=1)}

    @invariant()
    def positions_are_those_of_the_lists(self) -> None:
        assert self.queue.positions() == self.expected()
        assert self.queue.waiting == len(self.expected())


TestQueueAgainstLists = QueueAgainstLists.TestCase
