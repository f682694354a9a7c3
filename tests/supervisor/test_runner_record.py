"""What a daemon that died left behind is ended by the next one, and nobody else is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.runner_record import RunnerRecord


@pytest.fixture
def runner() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_was_added_and_not_removed_is_ended(tmp_path: Path, runner: subprocess.Popen[bytes]) -> None:
    RunnerRecord(tmp_path / "runners.json").add(runner.pid)
    # The next daemon; a zombie of this test would look like a process that does not go.
    reaper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        later = RunnerRecord(tmp_path / "runners.json")
        assert later.end_strays(within_s=0.2) == (runner.pid,)
        assert runner.wait(timeout=20) == -9
        assert reaper.poll() is None
        assert later.end_strays() == ()
    finally:
        reaper.kill()
        reaper.wait()


def test_what_was_removed_lives(tmp_path: Path, runner: subprocess.Popen[bytes]) -> None:
    record = RunnerRecord(tmp_path / "runners.json")
    record.add(runner.pid)
    record.remove(runner.pid)
    assert RunnerRecord(tmp_path / "runners.json").end_strays() == ()
    assert runner.poll() is None


def test_a_stranger_with_the_same_number_lives(tmp_path: Path, runner: subprocess.Popen[bytes]) -> None:
    file = tmp_path / "runners.json"
    file.write_bytes(b'[{"pid": %d, "created_at": 1.0}]' % runner.pid)
    assert RunnerRecord(file).end_strays() == ()
    assert runner.poll() is None


@pytest.mark.parametrize("text", [b"", b"[", b'{"pid": 1}', b'[{"pid": "x"}]', b"\xff\xfe"])
def test_a_damaged_record_ends_nobody(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "runners.json"
    file.write_bytes(text)
    assert RunnerRecord(file).end_strays() == ()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, runner: subprocess.Popen[bytes]) -> None:
    record = RunnerRecord(tmp_path / "absent" / "runners.json")
    record.add(runner.pid)
    record.remove(runner.pid)
    assert not os.path.lexists(tmp_path / "absent")
