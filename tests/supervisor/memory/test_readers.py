"""What the readers of both systems see of a real process."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.memory.darwin import DarwinMemoryReader, system_usage_call
from supervisor.memory.kernel_log import KernelLog
from supervisor.memory.linux import LinuxMemoryReader
from supervisor.memory.reader import MemorySources
from tests.supervisor.memory.machine import Machine

pytestmark = pytest.mark.usefixtures("nothing_left_behind")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Says when it holds the memory, then waits for the end of its stdin.
HOLDER = "import sys; b = bytearray(b'x') * (64 << 20); print(len(b), flush=True); sys.stdin.read()"


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(64 << 20).encode()
        yield process
        process.kill()


@on_linux
def test_linux_sees_footprint_machine_limit_and_counter(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    machine = Machine(tmp_path)
    (machine.cgroups / "memory.max").write_text("1073741824\n")
    reader = LinuxMemoryReader(holder.pid, machine.sources())
    sample = reader.sample(5.0)
    assert sample is not None
    assert 64 << 20 < sample.footprint_bytes < 200 << 20
    assert sample.available_bytes is not None
    assert sample.available_bytes > 0
    assert (sample.at_s, sample.counted_kills) == (5.0, 3)
    assert reader.limit_bytes == 2**30
    assert reader.name == Path(f"/proc/{holder.pid}/comm").read_text().strip()
    reader.close()


@on_linux
def test_linux_tells_of_kills_since_the_start_only(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    machine = Machine(tmp_path)
    machine.logged(holder.pid)
    reader = LinuxMemoryReader(holder.pid, machine.sources())
    before = reader.sample(1.0)
    assert reader.examine(2.0, before).kills == ()
    machine.logged(holder.pid)
    machine.counted(5)
    words = reader.examine(2.0, before)
    assert [kill.pid for kill in words.kills] == [holder.pid]
    assert words.counted_kills == 2
    assert len(words.looked_at) == 2
    assert words.no_answer == ()
    reader.close()


@on_linux
def test_linux_forgets_kills_of_others_long_before(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    machine = Machine(tmp_path)
    reader = LinuxMemoryReader(holder.pid, machine.sources())
    machine.logged(77)
    reader.sample(1.0)
    machine.logged(78)
    before = reader.sample(100.0)
    assert [kill.pid for kill in reader.examine(101.0, before).kills] == [78]
    reader.close()


@on_linux
def test_linux_without_log_and_counter_says_so(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    reader = LinuxMemoryReader(holder.pid, Machine(tmp_path, has_log=False, has_counter=False).sources())
    before = reader.sample(1.0)
    assert before is not None
    words = reader.examine(2.0, before)
    assert (words.kills, words.counted_kills, words.looked_at) == ((), 0, ())
    assert "kernel log" in words.no_answer[0]
    assert "counter" in words.no_answer[1]
    reader.close()


def test_a_process_that_is_gone_has_no_footprint(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    linux = LinuxMemoryReader(child.pid, Machine(tmp_path).sources())
    assert linux.sample(1.0) is None
    linux.close()
    assert DarwinMemoryReader(child.pid, MemorySources(), system_usage_call()).sample(1.0) is None


@on_linux
def test_damaged_files_cost_only_what_they_would_have_told(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    machine = Machine(tmp_path)
    reader = LinuxMemoryReader(holder.pid, machine.sources())
    (machine.cgroups / "memory.events").write_bytes(os.urandom(100_000))
    (machine.cgroups / "memory" / "memory.oom_control").write_bytes(b"oom_kill many\n")
    machine.log.write_bytes(os.urandom(100_000))
    before = reader.sample(1.0)
    assert before is not None
    assert before.counted_kills is None
    assert reader.examine(2.0, before).kills == ()
    reader.close()


def test_a_flooded_log_is_read_in_bounded_pieces_and_is_no_proof_any_more(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = KernelLog(machine.log, Path("/proc/self/ns/pid"))
    assert log.is_complete
    machine.log.write_bytes((b"6,1,1,-;" + b"x" * 8183 + b"\n") * 5000)
    log.read(1.0)
    assert not log.is_complete
    log.close()
    log.close()
    log.read(2.0)
    assert log.kills(1, since_s=0.0) == ()


def fill_usage(pid: int, flavor: int, buffer: object) -> int:
    """What xnu's `proc_pid_rusage` does: the footprint is the eighth 64-bit number after a UUID of 16 bytes."""
    assert (pid, flavor) == (os.getpid(), 0)
    assert isinstance(buffer, int)
    ctypes.c_uint64.from_address(buffer + 16 + 7 * 8).value = 123456789
    return 0


def test_darwin_takes_the_footprint_that_jetsam_judges_by() -> None:
    reader = DarwinMemoryReader(os.getpid(), MemorySources(), fill_usage)
    sample = reader.sample(3.0)
    assert sample is not None
    assert (sample.at_s, sample.footprint_bytes) == (3.0, 123456789)
    assert reader.limit_bytes == psutil.virtual_memory().total


def test_darwin_falls_back_to_the_resident_size() -> None:
    for call in (None, lambda *_: -1):
        sample = DarwinMemoryReader(os.getpid(), MemorySources(), call).sample(3.0)
        assert sample is not None
        assert sample.footprint_bytes > 1 << 20


@pytest.mark.skipif(sys.platform != "darwin", reason="needs the kernel of macOS")
def test_darwin_asks_the_real_kernel(holder: subprocess.Popen[bytes]) -> None:
    sample = DarwinMemoryReader(holder.pid, MemorySources(), system_usage_call()).sample(3.0)
    assert sample is not None
    assert 64 << 20 < sample.footprint_bytes < 1 << 30


def test_darwin_reads_reports_that_are_newer_than_the_death(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    sources = machine.sources(OperatingSystem.DARWIN)
    reader = DarwinMemoryReader(4242, sources, None)
    died_at_s = time.monotonic()
    assert reader.examine(died_at_s, None).kills == ()
    machine.reported(4242, "JetsamEvent-old.ips")
    os.utime(machine.reports / "JetsamEvent-old.ips", (time.time() - 60, time.time() - 60))
    (machine.reports / "JetsamEvent-broken.ips").write_bytes(os.urandom(1000))
    (machine.reports / "JetsamEvent-folder.ips").mkdir()
    (machine.reports / "python3.12-crash.ips").write_text("{}")
    words = reader.examine(died_at_s, None)
    assert words.kills == ()
    assert str(machine.reports) in words.no_answer[0]
    machine.reported(4242, "JetsamEvent-new.ips")
    (kill,) = reader.examine(died_at_s, None).kills
    assert (kill.pid, kill.resident_bytes) == (4242, 65536 * 16384)
    assert kill.words.startswith("JetsamEvent-new.ips")
