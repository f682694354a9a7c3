"""Every line with its task, through real runners: the talking engines of `tests/faults/talking.py`."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor.journal.records import CapturedLog, Record, TaskOutcome, TaskRecord
from supervisor.observation import ErrorPolicy, Observation
from tests.runner import random_model
from tests.supervisor.group_harness import RunningGroup, eventually, listen, running_group, the_error
from transports.messages import (
    OUTPUT_EVENTS,
    TERMINAL_EVENTS,
    SamplingParameters,
    TaskEvent,
    TaskFinished,
    TaskLog,
    TaskRejected,
    TaskStderr,
    TaskStdout,
    TextPrompt,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
SCRIPT = "tests.faults.talking:TalkingScript"
MLX = "tests.faults.talking:TalkingMlx"
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


async def test_native_lines_are_exact_for_one_task_and_shared_by_several(tmp_path: Path) -> None:
    async with talking(tmp_path, script={"token_interval_s": 0.05}) as (group, kept):
        alone = await told(group, "alone", "child")
        assert "alone: a child" in lines(alone, TaskStderr)
        assert "alone: a child" in lines(alone, TaskStdout)
        long = SamplingParameters(temperature=0.0, max_tokens=40)
        other = group.supervisor.start_task("other", TextPrompt("quiet"), long)
        both = await told(group, "one", "child")
        assert "one: a child" in lines(both, TaskStderr, "shared")
        assert "one: a child" in lines(await listen(other), TaskStderr, "shared")
        assert "one: a child\n" in (await captured(kept, "other")).stderr
        assert "alone" not in (await captured(kept, "other")).stderr
        assert kept.logs("alone")[0].stderr == "alone: a child\n"


async def test_each_token_is_told_apart_and_a_print_of_the_step_is_nobodys(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        events = await told(group, "a", "quiet")
        # The step in which the task ends is over when its end is said.
        assert lines(events, TaskStdout) == ["a: a token"] * 4
        assert (await captured(kept, "a")).stdout == "a: a token\n" * 4
        assert b"nobody: printed in a step\n" in group.recorder.output[0, "stdout"]


async def test_partial_lines_are_joined_and_the_last_one_comes_before_the_end(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        events = await told(group, "a", "partial")
        assert without_tokens(lines(events, TaskStdout)) == ["a: begun and finished"]
        assert lines(events, TaskStderr) == ["a: never finished"]
        assert isinstance(events[-1], TaskFinished)
        assert (await captured(kept, "a")).stderr == "a: never finished"


async def test_a_huge_line_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        events = await told(group, "a", "huge")
        pieces = without_tokens(lines(events, TaskStdout))
        assert max(len(piece.encode()) for piece in pieces) <= 16 * 1024 + 6
        assert "".join(pieces).replace("\ufffd", "").count("é") >= 300_000 - len(pieces)
        log = await captured(kept, "a")
        assert log.dropped_bytes > 0
        assert log.dropped_bytes + 128 * 1024 == 1 + 600_000 + 1 + len("a: a token\n") * 4


async def test_streams_that_a_program_replaced_are_wrapped_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        assert "a: through a wrapper of the buffer" in lines(await told(group, "a", "replaced"), TaskStdout)
        events = await told(group, "b", "partial")
        assert without_tokens(lines(events, TaskStdout)) == ["b: begun and finished"]
        assert lines(events, TaskStderr) == ["b: never finished"]
        log = await captured(kept, "b")
        assert (log.stdout.replace("b: a token\n", ""), log.stderr) == (
            "b: begun and finished\n",
            "b: never finished",
        )


async def test_the_streams_are_whole_text_streams(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, _):
        assert without_tokens(lines(await told(group, "a", "interface"), TaskStdout)) == [
            "a [2, False, 'utf-8', True]",
            "a: bytes",
            "a: one",
            "a: two",
            "a: open after close",
            "a: write() argument must be str, not int",
        ]


async def test_threads_pools_and_asyncio_work_for_their_task(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, _):
        for name in ("a", "b"):
            found = without_tokens(lines(await told(group, name, "inheritance"), TaskStdout))
            assert sorted(found) == sorted(
                [
                    f"{name}: a thread's own run",
                    f"{name}: a timer",
                    f"{name}: a pool",
                    f"{name}: asyncio",
                    f"{name}: asyncio",
                ]
            )


async def test_what_a_thread_says_after_its_task_is_nobodys(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        first = await told(group, "late", "late")
        second = await told(group, "next", "quiet", SamplingParameters(temperature=0.0, max_tokens=30))
        assert "late: 0" in lines(first, TaskStdout)
        assert not [line for line in lines(second, TaskStdout) if line.startswith("late")]
        assert "late" not in (await captured(kept, "next")).stdout
        await eventually(lambda: b"late: 399\n" in group.recorder.output[0, "stdout"], "the thread's last line")


async def test_logging_is_reported_and_goes_where_it_went(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        events = await told(group, "a", "logging")
        info, error, misfit = (event for event in events if isinstance(event, TaskLog))
        assert (info.level, info.logger, info.message) == (20, "other", "a: formatted by basicConfig")
        assert "INFO:other:a: formatted by basicConfig" in lines(events, TaskStderr)
        assert (error.level, error.message) == (40, "a: with a traceback")
        assert "a: inside" in error.traceback
        assert "cannot be formatted" in misfit.message
        log = await captured(kept, "a")
        assert log.python_logs.startswith("INFO other: a: formatted by basicConfig\nERROR tests.talking: a: with")
        assert "a: inside" in log.python_logs


async def test_a_task_that_fails_is_captured_with_its_traceback(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        events = await told(group, "a", "fail")
        assert isinstance(events[-1], TaskRejected)
        assert "a: about to fail" in lines(events, TaskStdout)
        assert any("KeyError: 'a: failed'" in line for line in lines(events, TaskStderr))
        log = await captured(kept, "a")
        assert not log.success
        assert log.stdout == "a: about to fail\n"
        assert "KeyError: 'a: failed'" in log.traceback
        assert kept.task("a").outcome is TaskOutcome.FAILED


async def test_a_runner_killed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    async with talking(tmp_path, script={"token_interval_s": 0.05}) as (group, kept):
        long = SamplingParameters(temperature=0.0, max_tokens=400)
        other = group.supervisor.start_task("other", TextPrompt("quiet"), long)
        await listen(other, tokens=2)
        error = the_error(await told(group, "a", "dying"))
        assert error.incident.rank == 0
        log = await captured(kept, "a")
        assert log.stderr == "a: last words without an end\na: native last words"
        assert (await captured(kept, "other")).stderr == "\na: native last words"
        assert kept.task("a").incident_id == error.incident.incident_id
        assert not log.success
        await group.ready(2)
        assert "b: begun and finished" in lines(await told(group, "b", "partial"), TaskStdout)


async def test_forged_markers_change_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        forged = "\x1e" + "A" * 22 + "-1 1\x1fa: forged"
        events = await told(group, "a", "forge")
        assert forged in lines(events, TaskStderr)
        natively = "\x1e" + "A" * 22 + "=7 3\x1fa: forged natively"
        assert natively in lines(events, TaskStderr)
        assert (await captured(kept, "a")).stderr == f"{forged}\n{natively}\n"
        assert bytes(group.recorder.output[0, "stderr"]).decode() == f"{forged}\n{natively}\n"


async def test_a_flood_ends_no_task(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, kept):
        stream = group.supervisor.start_task("a", TextPrompt("flood"), FEW)
        await eventually(lambda: stream.ended, "the task's end, with nobody reading")
        events = await listen(stream)
        assert isinstance(events[-1], TaskFinished)
        found = without_tokens(lines(events, TaskStdout))
        assert found[:3] == ["a: 0", "a: 1", "a: 2"]
        assert 0 < len(found) < 20_000
        assert stream.dropped_outputs > 0
        log = await captured(kept, "a")
        assert log.stdout.startswith("a: 0\n")
        assert "a: 19999\n" in log.stdout


async def test_followers_report_too(tmp_path: Path) -> None:
    async with talking(tmp_path, world_size=2, backend="ring") as (group, kept):
        events = await told(group, "a", "quiet")
        assert [event for event in events if isinstance(event, OUTPUT_EVENTS)]
        await eventually(lambda: len(kept.logs("a")) == 2, "the records of both ranks")
        assert {log.rank: log.stdout for log in kept.logs("a")} == {0: "a: a token\n" * 4, 1: "a: a token\n" * 4}
        # What one rank refused reaches the other as settled: its last word is not waited for in vain.
        started = anyio.current_time()
        await told(group, "b", "fail")
        await captured(kept, "b")
        assert anyio.current_time() - started < 0.9
