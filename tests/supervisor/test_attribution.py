"""Every line with its task, through real runners: the talking engines of `tests/faults/talking.py`."""

from pathlib import Path

import anyio
import pytest

from supervisor.journal.records import TaskOutcome
from tests.supervisor.group_harness import eventually, listen, the_error
from tests.supervisor.talking_group import FEW, captured, lines, talking, told, without_tokens
from transports.messages import SamplingParameters, TaskFinished, TaskRejected, TextPrompt
from transports.output_events import OUTPUT_EVENTS, TaskLog, TaskStderr, TaskStdout

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


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


async def test_lines_arrive_while_their_task_runs(tmp_path: Path) -> None:
    async with talking(tmp_path, script={"token_interval_s": 0.02}) as (group, _):
        stream = group.supervisor.start_task(
            "a", TextPrompt("partial"), SamplingParameters(temperature=0.0, max_tokens=4000)
        )
        events = await listen(stream, tokens=3)
        assert not stream.ended
        found = lines(events, TaskStdout)
        assert found[0] == "a: begun and finished"
        assert "a: a token" in found
        group.supervisor.leave_task("a")
        await eventually(lambda: len(group.supervisor.tasks) == 0, "the task's end")


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
