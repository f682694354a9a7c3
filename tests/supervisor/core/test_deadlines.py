"""Deadlines: each comes once, in order, and none is kept for a task that has ended."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.deadlines import Deadline, Deadlines

TASKS = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(TASKS, st.one_of(st.none(), st.integers(0, 9))), max_size=20)


@given(STEPS, st.lists(st.integers(0, 10), max_size=5).map(sorted))
def test_each_comes_once_and_in_order(steps: list[tuple[str, int | None]], looks: list[int]) -> None:
    deadlines, expected = Deadlines(), dict[str, Deadline]()
    for task_id, at in steps:
        expected.pop(task_id, None)
        if at is None:
            deadlines.discard(task_id)
        else:
            expected[task_id] = Deadline(float(at), 1.0)
            deadlines.add(task_id, expected[task_id])
    for now in looks:
        assert deadlines.next == min((deadline.at for deadline in expected.values()), default=None)
        due = deadlines.take_due(now)
        assert dict(due) == {task_id: deadline for task_id, deadline in expected.items() if deadline.at <= now}
        assert [deadline.at for _, deadline in due] == sorted(deadline.at for _, deadline in due)
        for task_id, _ in due:
            del expected[task_id]


def test_the_sentence_names_the_time_and_what_was_done() -> None:
    assert "2.5 s is over; it had 7 tokens" in Deadline(10.0, 2.5).sentence("it had 7 tokens")
