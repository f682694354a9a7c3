"""A process seen from outside: stopped, spinning, waiting, gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from supervisor.process_observation import observe_process
from tests.supervisor.conftest import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]


@contextmanager
def python(code: str) -> Iterator[int]:
    """A process that runs the code after it has said so."""
    process = subprocess.Popen([sys.executable, "-c", f"print(flush=True)\n{code}"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


async def test_a_waiting_process_uses_nothing() -> None:
    with python("import time\ntime.sleep(600)") as pid:
        seen = await observe_process(pid, 0.3)
    assert not seen.stopped
    assert seen.cpu_share is not None
    assert seen.cpu_share < 0.1


async def test_a_spinning_process_burns_its_core() -> None:
    with python("while True: pass") as pid:
        seen = await observe_process(pid, 1.0)
    assert not seen.stopped
    # The machine may be busy: a part of a core is enough.
    assert seen.cpu_share is not None
    assert seen.cpu_share > 0.05


async def test_a_stopped_process_is_seen_as_that() -> None:
    with python("while True: pass") as pid:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it is stopped")
        seen = await observe_process(pid, 0.1)
    assert seen.stopped
    assert seen.cpu_share == 0.0


async def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    with python("") as pid:
        pass
    for unknown in (pid, None):
        seen = await observe_process(unknown, 0.0)
        assert not seen.stopped
        assert seen.cpu_share is None
