"""Sixteen tasks that talk at once on the real MLX engine."""

from collections import Counter
from pathlib import Path

import anyio
import pytest

from supervisor.journal.records import CapturedLog
from tests.runner import random_model
from tests.supervisor.talking_group import captured, lines, talking, told
from transports.messages import TERMINAL_EVENTS, SamplingParameters, TaskEvent, TaskFinished
from transports.output_events import TaskLog, TaskStderr, TaskStdout

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
MLX = "tests.faults.talking:TalkingMlx"


@pytest.mark.mlx
async def test_sixteen_tasks_at_once_on_the_mlx_engine(tmp_path: Path) -> None:
    model = random_model.build(tmp_path / "model")
    sampling = SamplingParameters(temperature=0.0, max_tokens=6, ignore_eos=True)
    names = [f"task-{number:02}" for number in range(16)]
    heard: dict[str, list[TaskEvent]] = {}
    async with talking(tmp_path, engine=MLX, model_path=model, max_concurrent_tasks=16) as (group, kept):

        async def one(name: str) -> None:
            heard[name] = await told(group, name, "the runner and the ring", sampling)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(one, name)
        logs = {name: await captured(kept, name) for name in names}
        raw = {stream: bytes(group.recorder.output[0, stream]) for stream in ("stdout", "stderr")}
    for name in names:
        assert_all_of_it_and_nothing_else(name, heard[name], logs[name])
    assert b"\x1e" not in raw["stderr"] + raw["stdout"]


def assert_all_of_it_and_nothing_else(name: str, events: list[TaskEvent], log: CapturedLog) -> None:
    assert isinstance(events[-1], TaskFinished), events[-1]
    assert [isinstance(event, TERMINAL_EVENTS) for event in events].count(True) == 1
    stdout, stderr = lines(events, TaskStdout), lines(events, TaskStderr)
    exact_python = [line for line in stderr if "|native|" not in line]
    warned = [line.partition("Warning: ")[2] for line in exact_python if "Warning: " in line]
    # `warnings` writes the source line below its message.
    printed = [line for line in exact_python if "Warning: " not in line and not line.startswith("  warnings.warn")]
    logged = [event.message for event in events if isinstance(event, TaskLog)]
    # Python's handler of last resort still prints what no handler takes.
    assert [line for line in printed if "|log|" in line] == logged
    printed = [line for line in printed if "|log|" not in line]
    spoken = Counter(tuple(line.split("|", 2)) for line in [*stdout, *printed, *logged, *warned])
    assert {owner for owner, *_ in spoken} == {name}
    said = {kind: {what for _, one, what in spoken if one == kind} for kind in ("print", "stderr", "log", "thread")}
    said["warning"] = {what for _, one, what in spoken if one == "warning"}
    # In each place the calls are numbered: nothing is missing between them, nothing came twice.
    assert set(spoken.values()) == {1}
    assert len({frozenset(whats) for whats in said.values()}) == 1
    for place, fewest in (("prepare", 1), ("text", 6), ("logits", 6), ("sampler", 6)):
        numbers = sorted(int(what.partition("|")[2]) for what in said["print"] if what.startswith(place))
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= fewest, place
    native = [line for line in log.stderr.splitlines() if line.startswith(f"{name}|native|")]
    assert {line.split("|", 2)[2] for line in native} == said["print"]
    own = [line for line in log.stdout.splitlines() if line]
    assert Counter(own) == Counter(stdout)
    assert log.dropped_bytes == 0
    assert log.success
