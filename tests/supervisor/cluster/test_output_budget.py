"""A flood stays on its node; what flows at a bearable rate passes."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.cluster.output_budget import OutputBudget


def test_a_burst_passes_and_a_flood_does_not() -> None:
    budget = OutputBudget(max_bytes_per_s=100, max_burst_bytes=1000)
    assert budget.take(1000, 0.0)
    assert not budget.take(1, 0.0)
    assert budget.take(100, 1.0)
    assert budget.dropped_bytes == 1


@given(st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 10)), max_size=50))
def test_never_more_passes_than_the_burst_and_the_rate_allow(writes: list[tuple[int, float]]) -> None:
    budget, now, passed = OutputBudget(max_bytes_per_s=100, max_burst_bytes=1000), 0.0, 0
    for size, after_s in writes:
        now += after_s
        passed += size if budget.take(size, now) else 0
    assert passed <= 1000 + 100 * now + 1e-6
    assert passed + budget.dropped_bytes == sum(size for size, _ in writes)
