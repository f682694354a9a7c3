"""The ledger: any interleaving of events, failures and lies gives exactly one terminal event per task."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.core.ledger import InFlightLedger
from transports.messages import (
    TERMINAL_EVENTS,
    PrefillProgress,
    RejectionCode,
    TaskAccepted,
    TaskFinished,
    TaskRejected,
    TokenChunk,
)

INCIDENT = Incident(
    "inc-0", 0.0, "node", 1, 1, Cause.KILLED_NO_STDERR, Phase.RUNNING, Confidence.CERTAIN, "Rank 1 died.", "", True
)
RunnerTaskEvent = TaskAccepted | TaskRejected | PrefillProgress | TokenChunk | TaskFinished


def test_a_failure_ends_every_open_task_once_and_counts_its_tokens() -> None:
    ledger = InFlightLedger()
    for task_id in ("a", "b"):
        ledger.open(task_id)
    assert ledger.observe(TaskAccepted("a", 3))
    assert ledger.observe(TokenChunk("a", 0, 7, "x"))
    assert ledger.observe(TokenChunk("a", 1, 8, "y"))
    chunks = ledger.fail_all(INCIDENT)
    assert [(chunk.task_id, chunk.tokens_emitted) for chunk in chunks] == [("a", 2), ("b", 0)]
    assert ledger.fail_all(INCIDENT) == []
    assert not ledger.observe(TaskFinished("a", "stop", 3, 2))
    assert ledger.dropped_events == 1


@pytest.mark.parametrize(
    "event", [TokenChunk("a", 0, 7, "x"), TaskFinished("a", "stop", 1, 1), PrefillProgress("a", 1, 2)]
)
def test_nothing_counts_before_acceptance(event: RunnerTaskEvent) -> None:
    ledger = InFlightLedger()
    ledger.open("a")
    assert not ledger.observe(event)
    assert ledger.open_ids() == ("a",)


def test_a_token_that_is_not_the_next_one_is_dropped() -> None:
    ledger = InFlightLedger()
    ledger.open("a")
    ledger.observe(TaskAccepted("a", 1))
    assert not ledger.observe(TokenChunk("a", 1, 7, "x"))
    assert ledger.observe(TokenChunk("a", 0, 7, "x"))
    assert not ledger.observe(TokenChunk("a", 0, 7, "x"))


def test_ids_are_unique_while_open() -> None:
    ledger = InFlightLedger()
    ledger.open("a")
    with pytest.raises(ValueError, match="open already"):
        ledger.open("a")
    ledger.withdraw("a")
    ledger.open("a")
    assert len(ledger) == 1


IDS = st.sampled_from("abcd")
EVENTS: st.SearchStrategy[RunnerTaskEvent] = st.one_of(
    IDS.map(lambda task_id: TaskAccepted(task_id, 1)),
    st.tuples(IDS, st.integers(0, 4)).map(lambda pair: TokenChunk(pair[0], pair[1], 1, "x")),
    IDS.map(lambda task_id: PrefillProgress(task_id, 1, 2)),
    IDS.map(lambda task_id: TaskFinished(task_id, "stop", 1, 1)),
    IDS.map(lambda task_id: TaskRejected(task_id, RejectionCode.INVALID_REQUEST, "no")),
)
STEPS = st.one_of(EVENTS, st.just("fail"), IDS.map(lambda task_id: ("open", task_id)))


@given(st.lists(STEPS, max_size=80))
def test_any_interleaving_gives_one_terminal_event_per_opened_task(steps: list[object]) -> None:
    ledger = InFlightLedger()
    opened: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for step in steps:
        if step == "fail":
            ended.update(chunk.task_id for chunk in ledger.fail_all(INCIDENT))
        elif isinstance(step, tuple):
            if step[1] not in ledger:
                ledger.open(step[1])
                opened[step[1]] += 1
        elif ledger.observe(step) and isinstance(step, TERMINAL_EVENTS):
            ended[step.task_id] += 1
        assert all(ended[task_id] + (task_id in ledger) == opened[task_id] for task_id in "abcd")
    ended.update(chunk.task_id for chunk in ledger.fail_all(INCIDENT))
    assert ended == opened
