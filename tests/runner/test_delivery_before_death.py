"""Every frame written before SIGKILL arrives: DESIGN section 4's table, with the runner's own channel."""

import signal

import pytest

from tests.runner.harness import running
from transports.messages import Progress

REPETITIONS = 20


@pytest.mark.parametrize("count", [1, 100])
def test_every_frame_written_before_sigkill_arrives(count: int) -> None:
    faults = [
        {"at": "connect", "action": "frames", "count": count},
        {"at": "connect", "action": "sigkill"},
    ]
    arrived = 0
    for _ in range(REPETITIONS):
        with running(faults=faults) as group:
            assert group.leader.exit_code() == -signal.SIGKILL
            assert group.leader.violation is None
            steps = [event.step for event in group.leader.of(Progress) if event.step >= 1_000_000]
            arrived += len(steps)
    assert arrived == REPETITIONS * count
