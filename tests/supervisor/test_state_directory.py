"""The daemon's folder: private, locked by one, and found by others."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from supervisor.state_directory import DaemonRecord, StateDirectory, StateDirectoryError, StateDirectoryLocked

HOLDER = """
import sys
from pathlib import Path
from supervisor.state_directory import StateDirectory
with StateDirectory(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""
RECORD = DaemonRecord(pid=42, url="http://127.0.0.1:1", started_at=1.5, version="0")


def start_holder(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate(timeout=10)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_private_also_when_it_was_wider_before(tmp_path: Path):
    folder = tmp_path / "deep" / "state"
    StateDirectory(folder).create()
    assert mode_of(folder) == 0o700
    folder.chmod(0o755)
    StateDirectory(folder).create()
    assert mode_of(folder) == 0o700


def test_a_file_in_the_way_is_told(tmp_path: Path):
    file = tmp_path / "state"
    file.write_text("")
    with pytest.raises(StateDirectoryError, match="cannot be used") as caught:
        StateDirectory(file).create()
    assert "--state-dir" in caught.value.remedy


def test_a_folder_with_somebody_elses_work_is_refused_as_it_is(tmp_path: Path):
    (tmp_path / "group").mkdir()
    tmp_path.chmod(0o755)
    with pytest.raises(StateDirectoryError, match="was not made by ringwarden"), StateDirectory(tmp_path).lock():
        pass
    assert mode_of(tmp_path) == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["group"]


def test_who_only_looks_at_the_lock_keeps_no_daemon_away(tmp_path: Path):
    state = StateDirectory(tmp_path)
    with state.lock():
        pass
    looking = os.open(state.lock_file, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    looked = threading.Timer(0.03, os.close, (looking,))
    looked.start()
    try:
        with state.lock():
            assert state.lock_file.read_text() == str(os.getpid())
    finally:
        looked.join()


def test_a_second_daemon_learns_the_pid_of_the_first(tmp_path: Path):
    holder = start_holder(tmp_path / "state")
    try:
        with (
            pytest.raises(StateDirectoryLocked, match=f"pid {holder.pid}") as caught,
            StateDirectory(tmp_path / "state").lock(),
        ):
            pass
        assert caught.value.pid == holder.pid
    finally:
        end(holder)


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path):
    holder = start_holder(tmp_path / "state")
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate(timeout=10)
    with StateDirectory(tmp_path / "state").lock():
        pass


def test_the_lock_is_not_inherited_by_children(tmp_path: Path):
    state = StateDirectory(tmp_path / "state")
    with state.lock():
        child = subprocess.Popen(
            [sys.executable, "-c", "print('running', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    try:
        assert child.stdout is not None
        # Popen may return before the kernel has closed what exec closes, so wait for the new program itself.
        assert child.stdout.readline() == b"running\n"
        with state.lock():
            assert child.poll() is None
    finally:
        child.communicate(b"\n", timeout=10)


def test_the_record_lives_as_long_as_the_lock(tmp_path: Path):
    state = StateDirectory(tmp_path / "state")
    assert state.read_daemon() is None
    with state.lock():
        state.write_daemon(RECORD)
        assert StateDirectory(state.path).read_daemon() == RECORD
    assert state.read_daemon() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "1"}', b"\xff\xfe", b"0" * 100_000])
def test_a_broken_record_is_no_record(tmp_path: Path, content: bytes):
    (tmp_path / "daemon.json").write_bytes(content)
    assert StateDirectory(tmp_path).read_daemon() is None
