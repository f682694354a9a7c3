"""A group whose engine talks, and a sink that keeps what is recorded about it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from supervisor.journal.records import CapturedLog, Record, TaskRecord
from supervisor.observation import ErrorPolicy, Observation
from tests.supervisor.group_harness import RunningGroup, eventually, listen, running_group
from transports.messages import SamplingParameters, TaskEvent, TextPrompt
from transports.output_events import TaskStderr, TaskStdout

SCRIPT = "tests.faults.talking:TalkingScript"
FEW = SamplingParameters(temperature=0.0, max_tokens=3)


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    def logs(self, task_id: str) -> list[CapturedLog]:
        return [one for one in self.records if isinstance(one, CapturedLog) and one.task_id == task_id]

    def task(self, task_id: str) -> TaskRecord:
        """The task's newest record."""
        return [one for one in self.records if isinstance(one, TaskRecord) and one.task_id == task_id][-1]


@asynccontextmanager
async def talking(folder: Path, **arguments: Any) -> AsyncGenerator[tuple[RunningGroup, Kept]]:
    kept = Kept()
    observation = Observation("run-1", sink=kept, policy=ErrorPolicy.FAIL_FAST)
    defaults: dict[str, Any] = {"engine": SCRIPT, "world_size": 1, "backend": "none"}
    async with running_group(folder, observation=observation, **{**defaults, **arguments}) as group:
        await group.ready(1)
        yield group, kept


async def told(group: RunningGroup, task_id: str, speech: str, sampling: SamplingParameters = FEW) -> list[TaskEvent]:
    return await listen(group.supervisor.start_task(task_id, TextPrompt(speech), sampling))


async def captured(kept: Kept, task_id: str) -> CapturedLog:
    """The record of rank 0, which is there within the settle time."""
    await eventually(lambda: bool(kept.logs(task_id)), f"the captured log of {task_id}")
    return kept.logs(task_id)[0]


def lines(events: Sequence[TaskEvent], kind: type[TaskStdout | TaskStderr], attribution: str = "exact") -> list[str]:
    return [event.line for event in events if isinstance(event, kind) and event.attribution == attribution]


def without_tokens(found: Sequence[str]) -> list[str]:
    return [line for line in found if not line.endswith(": a token")]
