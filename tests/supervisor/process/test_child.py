"""One child process, really started: descriptors, process group, exit watch, reaping."""

import json
import os
import select
import signal
import sys
from collections.abc import AsyncIterator

import anyio
import psutil
import pytest

from diagnostics.evidence import ExitStatus
from supervisor.process import exit_watch
from supervisor.process.child import ChildProcess, start_child
from supervisor.process.drain import drain
from supervisor.process.exit_watch import KqueueExitWatch, open_exit_watch, wait_for_exit
from supervisor.process.watch import watch_child
from tests.supervisor.conftest import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


def python(program: str, *inherited: int) -> ChildProcess:
    return start_child([sys.executable, "-c", program], pass_fds=inherited)


async def end(child: ChildProcess) -> ExitStatus | None:
    watch = open_exit_watch(child.pid)
    try:
        with anyio.fail_after(20):
            await wait_for_exit(watch)
    finally:
        watch.close()
    child.sweep_group()
    status = child.reap()
    child.close()
    return status


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("pass", ExitStatus(code=0)),
        ("raise SystemExit(7)", ExitStatus(code=7)),
        ("import os; os.kill(os.getpid(), 9)", ExitStatus(signal=9)),
        ("import os; os.abort()", ExitStatus(signal=6)),
    ],
)
async def test_the_exit_status_is_what_happened(program: str, status: ExitStatus) -> None:
    assert await end(python(program)) == status


async def test_a_child_that_died_before_the_watch_is_noticed() -> None:
    child = python("pass")
    with anyio.fail_after(20):
        await drain(child.outputs["stdout"], lambda _: None)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "the child has ended")
    assert await end(child) == ExitStatus(code=0)


async def test_nothing_is_inherited_but_what_is_passed() -> None:
    ours, theirs = os.pipe()
    program = "import os, json; print(json.dumps([*map(int, os.listdir('/dev/fd')), os.getsid(0) == os.getpid()]))"
    child = python(program, theirs)
    os.close(theirs)
    output = bytearray()
    with anyio.fail_after(20):
        await drain(child.outputs["stdout"], output.extend)
    await end(child)
    os.close(ours)
    *descriptors, leads_session = json.loads(output)
    assert {0, 1, 2, theirs} <= set(descriptors)
    assert len(descriptors) == 5, "the fifth is the one that the listing itself uses"
    assert leads_session is True


async def test_stdin_is_empty_and_no_terminal() -> None:
    child = python("import sys, os; print(os.isatty(0), repr(sys.stdin.read()))")
    output = bytearray()
    with anyio.fail_after(20):
        await drain(child.outputs["stdout"], output.extend)
    await end(child)
    assert output.decode().strip() == "False ''"


async def test_an_exit_is_noticed_while_a_grandchild_holds_the_pipes() -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    child = python(program)
    grandchild = psutil.Process(
        int(os.read(child.outputs["stdout"], 100)) if await readable(child.outputs["stdout"]) else 0
    )
    watch = open_exit_watch(child.pid)
    with anyio.fail_after(20):
        await wait_for_exit(watch)
    watch.close()
    assert grandchild.is_running()
    child.sweep_group()
    assert child.reap() == ExitStatus(code=0)
    child.close()
    grandchild.wait(timeout=20)


async def readable(descriptor: int) -> bool:
    with anyio.fail_after(20):
        await anyio.wait_readable(descriptor)
    return True


async def test_signals_reach_the_group_and_are_noted() -> None:
    program = (
        "import subprocess; subprocess.Popen(['sleep', '600']); print('up', flush=True); import time; time.sleep(600)"
    )
    child = python(program)
    assert await readable(child.outputs["stdout"])
    descendants = psutil.Process(child.pid).children()
    assert len(descendants) == 1
    assert child.reap() is None
    assert child.signal_group(signal.SIGTERM)
    assert await end(child) == ExitStatus(signal=signal.SIGTERM)
    assert child.signals_sent == [signal.SIGTERM]
    assert not child.signal_group(signal.SIGTERM)
    psutil.wait_procs(descendants, timeout=20)
    assert not any(process.is_running() for process in descendants)


async def test_a_child_that_can_be_reaped_only_later_has_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on macOS, where kqueue tells of an exit before waitpid does.
    child, reap, refusals = python("raise SystemExit(7)"), ChildProcess.reap, [None, None, None]
    monkeypatch.setattr(ChildProcess, "reap", lambda self: refusals.pop() if refusals else reap(self))
    with anyio.fail_after(20):
        end_of_child = await watch_child(child, [], drain_deadline_s=0.1)
    assert end_of_child.status == ExitStatus(code=7)
    assert not refusals


async def test_a_program_that_does_not_exist_leaves_nothing_behind() -> None:
    with pytest.raises(FileNotFoundError):
        start_child(["/no/such/program"])


async def test_a_flood_on_one_pipe_is_read_whole() -> None:
    child = python("import sys; sys.stdout.buffer.write(b'x' * 5_000_000); sys.stderr.write('done')")
    sizes = {"stdout": 0, "stderr": 0}
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                drain, child.outputs["stdout"], lambda data: sizes.update(stdout=sizes["stdout"] + len(data))
            )
            tasks.start_soon(
                drain, child.outputs["stderr"], lambda data: sizes.update(stderr=sizes["stderr"] + len(data))
            )
    assert await end(child) == ExitStatus(code=0)
    assert sizes == {"stdout": 5_000_000, "stderr": 4}


class FakeQueue:
    """kqueue as macOS has it, as far as the watch uses it: registering a dead pid answers ESRCH."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.registered: list[object] = []
        self.is_dead = False

    def control(self, changes: list[object], _max_events: int, _timeout: float) -> list[object]:
        if self.is_dead:
            raise ProcessLookupError
        self.registered += changes
        return []

    def fileno(self) -> int:
        return self.read_end

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self._write_end)


@pytest.fixture
async def queue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeQueue]:
    fake = FakeQueue()
    names = {"KQ_FILTER_PROC": -5, "KQ_EV_ADD": 1, "KQ_EV_ONESHOT": 16, "KQ_NOTE_EXIT": 0x80000000}
    for name, value in names.items():
        monkeypatch.setattr(select, name, value, raising=False)
    monkeypatch.setattr(select, "kqueue", lambda: fake, raising=False)
    monkeypatch.setattr(select, "kevent", lambda pid, **fields: (pid, fields), raising=False)
    monkeypatch.setattr(exit_watch.sys, "platform", "darwin")
    yield fake
    fake.close()


async def test_on_macos_an_exit_is_a_readable_kqueue(queue: FakeQueue) -> None:
    watch = open_exit_watch(4711)
    assert isinstance(watch, KqueueExitWatch)
    ((pid, fields),) = queue.registered  # pyright: ignore[reportGeneralTypeIssues]
    assert (pid, fields["fflags"]) == (4711, 0x80000000)
    assert not watch.already_dead
    os.write(queue._write_end, b"event")
    with anyio.fail_after(5):
        await wait_for_exit(watch)


async def test_on_macos_a_pid_that_is_dead_already_is_an_exit(queue: FakeQueue) -> None:
    queue.is_dead = True
    watch = open_exit_watch(4711)
    assert watch.already_dead
    with anyio.fail_after(5):
        await wait_for_exit(watch)
