"""`supervised_process`: the live process at once, its failure bare."""

import subprocess

import anyio
import psutil
import pytest

from supervisor.process import supervised_process
from tests.supervisor.process.test_supervise import python

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left_behind")]
FAILS = "import sys; print('why', file=sys.stderr); sys.exit(3)"


async def test_the_block_has_the_live_process_and_its_end_is_waited_for() -> None:
    with anyio.fail_after(20):
        async with supervised_process(python("import time; time.sleep(0.3)")) as process:
            assert psutil.pid_exists(process.pid)
        assert not psutil.pid_exists(process.pid)


async def test_a_failure_cancels_the_block_and_comes_out_bare() -> None:
    with anyio.fail_after(20), pytest.raises(subprocess.CalledProcessError) as caught:
        async with supervised_process(python(FAILS)):
            await anyio.sleep_forever()
    assert (caught.value.returncode, caught.value.stderr) == (3, b"why\n")
    assert any("why" in note for note in caught.value.__notes__)


async def test_a_failure_after_the_block_comes_out_bare() -> None:
    with anyio.fail_after(20), pytest.raises(subprocess.CalledProcessError) as caught:
        async with supervised_process(python(FAILS)) as process:
            await process.wait()
    assert caught.value.returncode == 3


async def test_an_error_of_the_block_ends_the_process_and_comes_out_bare() -> None:
    pid = 0
    with anyio.fail_after(20), pytest.raises(KeyError, match="mine"):
        async with supervised_process(["sleep", "600"]) as process:
            pid = process.pid
            raise KeyError("mine")
    assert pid
    assert not psutil.pid_exists(pid)


async def test_a_program_that_is_not_there() -> None:
    with anyio.fail_after(20), pytest.raises(FileNotFoundError):
        async with supervised_process(["/no/such/program"]):
            pytest.fail("there is nothing to supervise")
