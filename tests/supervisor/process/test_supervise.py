"""`supervise_process` on real processes, point by point of what it promises."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import anyio
import psutil
import pytest
from loguru import logger

from diagnostics.evidence import ExitStatus
from supervisor.core.ladder import Rung, Step
from supervisor.process import SupervisedProcess, supervise_process
from tests.supervisor.conftest import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]

HOLDS_THE_PIPE = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True);"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.fixture
def logged() -> Iterator[list[tuple[str, int, str]]]:
    """What a sink at level IO gets: (level, number, text)."""
    records: list[tuple[str, int, str]] = []

    def keep(message: Any) -> None:
        record = message.record
        records.append((record["level"].name, record["level"].no, record["message"]))

    sink = logger.add(keep, level=21, format="{message}")
    yield records
    logger.remove(sink)


async def failing(command: list[str], **arguments: Any) -> subprocess.CalledProcessError:
    with anyio.fail_after(20), pytest.raises(subprocess.CalledProcessError) as caught:
        await supervise_process(command, **arguments)
    return caught.value


# --- the result ---


async def test_success_returns_what_was_accumulated() -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr)"
    with anyio.fail_after(20):
        result = await supervise_process(python(program), accumulate=["stdout", "stderr"])
    assert (result.returncode, result.stdout, result.stderr) == (0, b"out\n", b"err\n")


@pytest.mark.parametrize("relay", [(), ("stderr",)])
async def test_a_failure_is_a_bare_error_with_stderr_and_an_indented_note(
    relay: tuple[str, ...], logged: list[tuple[str, int, str]]
) -> None:
    error = await failing(python("import sys; sys.stderr.write('first\\nlast'); sys.exit(3)"), relay=relay)
    assert type(error) is subprocess.CalledProcessError
    assert (error.returncode, error.stderr) == (3, b"first\nlast")
    assert error.__notes__ == ["stderr:\n    first\n    last"]
    assert [text for _, _, text in logged] == (["first", "last"] if relay else [])


async def test_a_signal_is_a_negative_code() -> None:
    error = await failing(python("import os; os.kill(os.getpid(), 9)"))
    assert (error.returncode, error.stderr) == (-9, b"")


async def test_the_error_waits_for_all_of_stderr() -> None:
    # More than a pipe holds, written in the last moment.
    error = await failing(python("import os; os.write(2, b'x' * 60_000); os._exit(7)"), max_kept_bytes=100_000)
    assert len(error.stderr) == 60_000


async def test_a_deadline_that_has_passed_loses_nothing_that_was_written() -> None:
    error = await failing(python("import os; os.write(2, b'x' * 60_000); os._exit(7)"), drain_deadline_s=0.0)
    assert len(error.stderr) == 60_000
    assert len(error.__notes__) == 1


async def test_a_grandchild_that_holds_the_pipe_delays_the_error_by_the_drain_deadline_only() -> None:
    program = HOLDS_THE_PIPE + "import sys; print('why', file=sys.stderr, flush=True); sys.exit(4)"
    started_at = time.monotonic()
    error = await failing(python(program), accumulate=["stdout"], drain_deadline_s=0.2)
    assert time.monotonic() - started_at < 5.0
    assert (error.returncode, error.stderr) == (4, b"why\n")
    assert any("within 0.2 s" in note for note in error.__notes__)
    wait_until(lambda: not psutil.pid_exists(int(error.stdout)), "the grandchild was ended, too")


async def test_a_program_that_does_not_exist_is_said_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        await supervise_process(["/no/such/program"])


# --- the terminal ---


SHOWS_TERMINALS = (
    "import os, sys; print(*(os.isatty(fd) for fd in (0, 1, 2)), repr(sys.stdin.read()), file=open(sys.argv[1], 'w'))"
)


async def test_the_terminal_is_isolated_unless_asked_for(tmp_path: Any) -> None:
    ours, theirs = pty.openpty()
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        for name, arguments in (("isolated", {}), ("inherited", {"stdout": None, "stderr": None})):
            await supervise_process([*python(SHOWS_TERMINALS), str(tmp_path / name)], **arguments)
    finally:
        for fd, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, fd)
            os.close(copy)
        os.close(ours)
        os.close(theirs)
    assert (tmp_path / "isolated").read_text() == "False False False ''\n"
    assert (tmp_path / "inherited").read_text() == "False True True ''\n"


async def test_the_process_has_no_controlling_terminal() -> None:
    result = await supervise_process(python("import os; print(os.getsid(0) == os.getpid())"), accumulate=["stdout"])
    assert result.stdout == b"True\n"


async def test_stdout_may_be_given(tmp_path: Any) -> None:
    with (tmp_path / "out").open("wb") as file:
        result = await supervise_process(python("print('to a file')"), stdout=file)
    assert (tmp_path / "out").read_bytes() == b"to a file\n"
    assert result.stdout is None


async def test_a_given_stderr_is_not_in_the_error(tmp_path: Any) -> None:
    with (tmp_path / "err").open("wb") as file:
        error = await failing(python("import sys; sys.exit('elsewhere')"), stderr=file)
    assert error.stderr is None
    assert (tmp_path / "err").read_bytes() == b"elsewhere\n"


async def test_pipe_means_accumulate() -> None:
    result = await supervise_process(
        python("import sys; print('a'); sys.stdout.flush(); sys.stderr.write('b')"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert (result.stdout, result.stderr) == (b"a\nb", None)


# --- the relay ---


async def test_every_line_is_relayed_whole_at_its_own_level(logged: list[tuple[str, int, str]]) -> None:
    program = "import os; [os.write(1, piece) for piece in (b'one\\ntw', b'o\\n\\nthr', b'ee')]"
    await supervise_process(python(program), relay=["stdout"])
    assert logged == [("IO", 21, text) for text in ("one", "two", "", "three")]


async def test_lines_are_relayed_while_the_process_runs() -> None:
    lines: list[str] = []
    seen = anyio.Event()

    def relay(line: str) -> None:
        lines.append(line)
        seen.set()

    async with anyio.create_task_group() as tasks:
        arguments = {"relay": ["stderr"], "relay_line": relay}
        program = "import sys, time; print('alive', file=sys.stderr); time.sleep(600)"
        tasks.start_soon(lambda: supervise_process(python(program), **arguments))
        with anyio.fail_after(20):
            await seen.wait()
        tasks.cancel_scope.cancel()
    assert lines == ["alive"]


@pytest.mark.parametrize(
    "mode", [{"relay": ["stdout"]}, {"accumulate": ["stdout"]}, {"relay": ["stdout"], "accumulate": ["stdout"]}]
)
async def test_much_without_a_newline_does_not_block(mode: dict[str, Any]) -> None:
    relayed: list[str] = []
    with anyio.fail_after(20):
        started_at = time.monotonic()
        result = await supervise_process(
            ["/bin/sh", "-c", "head -c 204800 /dev/zero | tr '\\0' x"], relay_line=relayed.append, **mode
        )
    assert time.monotonic() - started_at < 2.0
    assert "".join(relayed) == ("x" * 204_800 if "relay" in mode else "")
    assert result.stdout == (b"x" * 204_800 if "accumulate" in mode else None)


async def test_stderr_that_nobody_asked_for_is_read_all_the_same() -> None:
    with anyio.fail_after(20):
        result = await supervise_process(python("import os; [os.write(2, b'y' * 65536) for _ in range(64)]"))
    assert b"bytes left out" in result.stderr
    assert len(result.stderr) < 1_100_000


async def test_what_is_accumulated_is_bounded_and_says_what_is_missing() -> None:
    program = "print('begin' + 'x' * 3_000_000 + 'end', end='')"
    result = await supervise_process(python(program), accumulate=["stdout"], max_kept_bytes=1000)
    assert result.stdout.startswith(b"begin")
    assert result.stdout.endswith(b"end")
    assert b"[2999008 bytes left out]" in result.stdout


# --- arguments ---


async def test_other_arguments_are_forwarded_and_managed_ones_win(tmp_path: Any) -> None:
    result = await supervise_process(
        python("import os, sys; print(os.getcwd(), os.environ['WORD'], repr(sys.stdin.read()))"),
        accumulate=["stdout"],
        cwd=tmp_path,
        env={**os.environ, "WORD": "here"},
        stdin=None,
        check=False,
        start_new_session=False,
    )
    assert result.stdout.decode().split() == [str(tmp_path.resolve()), "here", "''"]
    assert (await failing(python("raise SystemExit(5)"), check=False)).returncode == 5


@pytest.mark.parametrize("arguments", [{"relay": ["stdout"], "stdout": None}, {"accumulate": ["stdin"]}])
async def test_arguments_that_contradict_each_other_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="std"):
        await supervise_process(python("pass"), **arguments)


# --- the live process ---


async def test_the_live_process_is_handed_over_at_once() -> None:
    with anyio.fail_after(20), pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            process: SupervisedProcess = await tasks.start(supervise_process, ["sleep", "600"])
            assert psutil.Process(process.pid).is_running()
            assert process.signal_group(signal.SIGTERM)
    assert caught.group_contains(subprocess.CalledProcessError)
    assert await process.wait() == ExitStatus(signal=signal.SIGTERM)
    assert not process.signal_group(signal.SIGTERM)


async def test_waiting_for_the_live_process() -> None:
    async with anyio.create_task_group() as tasks:
        process: SupervisedProcess = await tasks.start(supervise_process, python("print('done')"))
        with anyio.fail_after(20):
            assert await process.wait() == ExitStatus(code=0)


# --- cancelling ---


async def test_cancelling_asks_first_and_hears_the_last_words() -> None:
    lines: list[str] = []
    program = (
        "import signal, sys, time; signal.signal(15, lambda *_: (print('goodbye'), sys.exit(0)));"
        "print('up', flush=True); time.sleep(600)"
    )
    await cancelled_once_up(python(program), lines)
    assert lines == ["up", "goodbye"]


async def test_a_process_that_ignores_it_is_killed_with_its_descendants() -> None:
    lines: list[str] = []
    program = "import signal, time; signal.signal(15, signal.SIG_IGN);" + HOLDS_THE_PIPE + "time.sleep(600)"
    steps = (Step(Rung.TERMINATE, 0.1), Step(Rung.KILL, 5.0))
    await cancelled_once_up(python(program), lines, on_cancel=steps)
    wait_until(lambda: not psutil.pid_exists(int(lines[0])), "the grandchild is gone, too")


async def cancelled_once_up(command: list[str], lines: list[str], **arguments: Any) -> None:
    up = anyio.Event()

    def relay(line: str) -> None:
        lines.append(line)
        up.set()

    async with anyio.create_task_group() as tasks:
        process = await tasks.start(
            lambda **status: supervise_process(command, relay=["stdout"], relay_line=relay, **arguments, **status)
        )
        with anyio.fail_after(20):
            await up.wait()
        tasks.cancel_scope.cancel()
    assert not psutil.pid_exists(process.pid)
