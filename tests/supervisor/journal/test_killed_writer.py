"""What a killed writer left open is ended by the next one: its tasks, and nobody else's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor.journal.journal import Journal
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import TaskOutcome, TaskRecord
from tests.supervisor.journal.test_journal import DEADLINE_S, rows

PROJECT = Path(__file__).resolve().parents[3]
_WRITER = """
import sys, time
from pathlib import Path
from supervisor.journal.journal import Journal
from supervisor.journal.records import TaskOutcome, TaskRecord
path, run_id = Path(sys.argv[1]), sys.argv[2]
journal = Journal(path, run_id=run_id)
now = time.time()
for name in ("open-1", "open-2"):
    journal.write(TaskRecord(run_id=run_id, task_id=name, generation=1, model="tiny", started_at=now))
ended = dict(ended_at=now, outcome=TaskOutcome.FINISHED, detail="stop")
journal.write(TaskRecord(run_id=run_id, task_id="ended", generation=1, model="tiny", started_at=now, **ended))
assert journal.flush(60)
print("written", flush=True)
time.sleep(60)
"""


def killed_writer(path: Path, run_id: str, *, reaped: bool = True) -> subprocess.Popen[str]:
    """Let a process write tasks, and kill it."""
    command = [sys.executable, "-c", _WRITER, str(path), run_id]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.kill()
    if reaped:
        process.wait()
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "zombie"])
def test_open_tasks_of_a_killed_writer_get_a_true_end(tmp_path: Path, reaped: bool):
    path = tmp_path / "journal.db"
    before = time.time()
    process = killed_writer(path, "run-killed", reaped=reaped)
    journal = Journal(path, run_id="run-next")
    assert journal.close(DEADLINE_S)
    with JournalReader(path) as reader:
        for name in ("open-1", "open-2"):
            task = reader.task(name)
            assert task is not None
            assert (task.run_id, task.outcome) == ("run-killed", TaskOutcome.FAILED)
            assert task.detail == f"The ringwarden that served it (pid {process.pid}) was killed."
            assert task.ended_at is not None
            assert before <= task.started_at <= task.ended_at <= time.time()
        ended = reader.task("ended")
        assert ended is not None
        assert (ended.outcome, ended.detail) == (TaskOutcome.FINISHED, "stop"), "what had an end keeps it"
    process.communicate()  # also closes the pipe


def test_tasks_of_a_living_writer_stay_open(tmp_path: Path):
    path = tmp_path / "journal.db"
    living = Journal(path, run_id="run-living")
    living.write(TaskRecord(run_id="run-living", task_id="open", generation=1, model="tiny", started_at=time.time()))
    assert living.flush(DEADLINE_S)
    other = Journal(path, run_id="run-other")
    assert other.close(DEADLINE_S)
    assert rows(path, "SELECT outcome, ended_at FROM tasks") == [(None, None)]
    assert living.close(DEADLINE_S)


def test_a_stopped_writer_lives(tmp_path: Path):
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", _WRITER, str(path), "run-stopped"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGSTOP)
        journal = Journal(path, run_id="run-next")
        assert journal.close(DEADLINE_S)
        assert rows(path, "SELECT count(*) FROM tasks WHERE outcome IS NULL") == [(2,)]
        process.kill()
