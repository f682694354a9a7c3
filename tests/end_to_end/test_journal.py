"""A daemon's journal and raw logs, from its own start over a death to its own death."""

import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from supervisor.raw_log_folder import RawLogFolder
from tests.end_to_end.service import PROJECT, Service, scripted_service, wait_until


def rows(service: Service, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{(service.state_dir / 'journal.db').as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def ringwarden(service: Service, *arguments: str) -> str:
    command = [sys.executable, "-m", "supervisor.cli", *arguments, "--state-dir", str(service.state_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_generations_deaths_and_output_are_kept_while_it_runs():
    says = [{"rank": rank, "at": "warm_up", "action": "print_line", "line": f"hello from {rank}"} for rank in (0, 1)]
    with scripted_service(faults=says) as service:
        service.wait_ready()
        os.kill(service.pids()[1], signal.SIGKILL)
        service.wait_ready(2)
        wait_until(lambda: rows(service, "SELECT 1 FROM events WHERE kind = 'recovered'") != [], "it is kept", 30)
        ((first, incident_id), (second, none)) = rows(
            service, "SELECT generation, incident_id FROM generations ORDER BY generation"
        )
        assert (first, second, none) == (1, 2, None)
        assert rows(service, "SELECT incident_id, rank FROM incidents") == [(incident_id, 1)]
        assert rows(service, "SELECT ready_at >= started_at, ended_at >= ready_at FROM generations LIMIT 1") == [(1, 1)]
        kinds = {kind for (kind,) in rows(service, "SELECT kind FROM events")}
        assert {"phase", "state", "death", "incident", "recovered"} <= kinds
        assert incident_id in ringwarden(service, "incidents")
        assert f"{incident_id}  " in ringwarden(service, "why", incident_id)
        said = ringwarden(service, "logs", "--generation", "1")
        assert said.splitlines() == ["rank 0 stderr| hello from 0", "rank 1 stderr| hello from 1"]
        bundle = service.state_dir / "bundle.zip"
        ringwarden(service, "why", incident_id, "--bundle", str(bundle))
        with zipfile.ZipFile(bundle) as archive:
            assert archive.read("raw/rank-1.stderr.log") == b"hello from 1\n"


def test_what_a_run_beside_the_daemon_met_is_listed():
    with scripted_service() as service:
        service.wait_ready()
        arguments = ["run", "--state-dir", str(service.state_dir), "--", sys.executable, "-c", "exit(9)"]
        command = [sys.executable, "-m", "supervisor.cli", *arguments]
        assert subprocess.run(command, capture_output=True, timeout=60, cwd=PROJECT, check=False).returncode == 9
        ((incident_id,),) = rows(service, "SELECT incident_id FROM incidents")
        assert incident_id in ringwarden(service, "incidents")
        assert incident_id in ringwarden(service, "why", incident_id[:8])


def test_a_daemon_that_was_killed_is_said_at_the_next_start():
    with scripted_service() as service:
        service.wait_ready()
        wait_until(lambda: rows(service, "SELECT 1 FROM events WHERE text = 'group is ready'") != [], "it is kept", 30)
        ((run_id,),) = rows(service, "SELECT run_id FROM writers")
        service.process.kill()
        service.process.wait()
        assert rows(service, "PRAGMA integrity_check") == [("ok",)]
        command = [sys.executable, "-m", "supervisor.cli", "up", "--port=0", f"--state-dir={service.state_dir}"]
        log = Path(service.state_dir) / "second.log"
        with log.open("wb") as output:
            again = subprocess.Popen(
                [*command, "--engine=tests.faults.scripted:ScriptedEngine"], stderr=output, cwd=PROJECT
            )
        try:
            said = f"{run_id} (pid {service.process.pid}) was killed"
            wait_until(lambda: said in log.read_text(), "the next start says it", 60)
            wait_until(lambda: len(rows(service, "SELECT 1 FROM generations")) == 2, "the next run is kept", 60)
        finally:
            again.send_signal(signal.SIGINT)
            again.wait(60)
        assert rows(service, "SELECT clean FROM writers ORDER BY opened_at") == [(0,), (1,)]
        assert RawLogFolder(service.state_dir / "logs").files(run_id, 1) == []
