"""Runners that outlive their daemon are found and ended by --fix; a stranger with their number is not."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from supervisor.doctor.finding import CheckState
from supervisor.doctor.leftovers import Leftovers, clean_up, judge_files, judge_strays, read_leftovers
from supervisor.doctor.lock import read_lock
from supervisor.runner_record import RUNNERS_FILE, RunnerRecord
from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.end_to_end.service import scripted_service


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def look(state: StateDirectory) -> Leftovers:
    """What this folder is told; runners of other tests that end just now are left out."""
    return msgspec.structs.replace(read_leftovers(state, read_lock(state.lock_file)), orphans=())


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_real_runner_that_outlives_its_daemon_is_found_and_ended():
    with scripted_service("--ranks=1") as daemon:
        daemon.wait_ready()
        state = StateDirectory(daemon.state_dir)
        [runner] = daemon.pids()
        beside = look(state)
        assert judge_strays(beside).state is CheckState.OK
        assert beside.recorded == ()
        assert clean_up(state, beside) == ()
        # The guard would end it, and its control thread would leave: neither can any more.
        os.kill(runner, signal.SIGSTOP)
        for child in psutil.Process(daemon.process.pid).children():
            if child.pid != runner:
                child.kill()
        daemon.process.kill()
        daemon.process.wait()

        found = look(state)
        assert [one.pid for one in found.recorded] == [runner]
        finding = judge_strays(found)
        assert (finding.state, finding.exit_code) == (CheckState.FAILED, 75)
        assert judge_files(found).state is CheckState.WARNING

        elsewhere = StateDirectory(daemon.state_dir.parent / "elsewhere")
        orphaned = read_leftovers(elsewhere, read_lock(elsewhere.lock_file))
        assert runner in [one.pid for one in orphaned.orphans]
        assert judge_strays(orphaned).state is CheckState.WARNING
        assert clean_up(elsewhere, orphaned) == ()
        assert is_alive(runner)

        done = clean_up(state, found)
        assert any(str(runner) in line for line in done)
        assert not is_alive(runner)
        after = look(state)
        assert judge_strays(after).state is CheckState.OK
        assert judge_files(after).state is CheckState.OK
        assert clean_up(state, after) == ()
        assert not (state.path / "daemon.json").exists()
        assert state.journal_file.exists()


def test_a_stranger_that_has_the_number_of_a_runner_lives(
    tmp_path: Path, sleeper: Callable[..., subprocess.Popen[bytes]]
):
    stranger = sleeper()
    state = StateDirectory(tmp_path)
    (tmp_path / RUNNERS_FILE).write_bytes(b'[{"pid": %d, "created_at": 1.0}]' % stranger.pid)
    state.write_daemon(DaemonRecord(stranger.pid, "http://127.0.0.1:1", 1.0, "0"))
    found = look(state)
    assert found.recorded == ()
    assert clean_up(state, found) == ("removed the record of a daemon that is gone (daemon.json)",)
    assert stranger.poll() is None


def test_a_record_that_cannot_be_read_is_no_proof_that_there_are_none(tmp_path: Path):
    (tmp_path / RUNNERS_FILE).write_bytes(b"[{")
    finding = judge_strays(look(StateDirectory(tmp_path)))
    assert finding.state is CheckState.SKIPPED
    assert "is damaged" in finding.diagnosis


def test_nothing_is_touched_while_a_daemon_holds_the_lock(
    tmp_path: Path, sleeper: Callable[..., subprocess.Popen[bytes]]
):
    runner = sleeper()
    state = StateDirectory(tmp_path)
    RunnerRecord(tmp_path / RUNNERS_FILE).add(runner.pid)
    with state.lock():
        (state.work_folder / "generation-1").mkdir(parents=True)
    stale = look(state)
    assert [one.pid for one in stale.recorded] == [runner.pid]
    with state.lock():
        # Also when the daemon came between the look and the deed.
        assert clean_up(state, stale) == ()
        held = look(state)
        assert judge_files(held).state is CheckState.SKIPPED
        assert clean_up(state, held) == ()
    assert runner.poll() is None
    assert (state.work_folder / "generation-1").is_dir()


def test_what_no_daemon_made_is_left_alone(tmp_path: Path):
    state = StateDirectory(tmp_path)
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "thesis.txt").write_text("years of work")
    # Something of ours may be there all the same: keys need no lock.
    state.write_daemon(DaemonRecord(1, "http://127.0.0.1:1", 1.0, "0"))
    found = look(state)
    assert found.files == ()
    assert clean_up(state, found) == ()
    assert (tmp_path / "group" / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_is_not_there_stays_so(tmp_path: Path):
    state = StateDirectory(tmp_path / "absent")
    found = look(state)
    assert clean_up(state, found) == ()
    assert judge_strays(found).state is CheckState.OK
    assert not state.path.exists()
