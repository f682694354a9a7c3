"""`ringwarden logs`, `why REQUEST` and `why --bundle` as a person meets them, without a daemon unless said."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from diagnostics.incident import Incident
from supervisor.cli.log_lines import captured_lines
from supervisor.cli.log_query import LogStream
from supervisor.journal.journal import Journal
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, TaskOutcome, TaskRecord
from supervisor.raw_log_folder import RawLogFolder
from supervisor.state_directory import StateDirectory
from tests.supervisor.canned_daemon import INCIDENT
from tests.supervisor.test_cli import assert_complaint, ringwarden

DEADLINE_S = 60.0
NOW = time.time()
RUN = "run-1"
SECRET = "hf_" + "Ab1" * 8
UNSHAPED = "correct-horse-battery"


def captured(number: int, **changes: Any) -> CapturedLog:
    made = CapturedLog(
        log_id=f"log-{number}", run_id=RUN, task_id=f"req-{number}", generation=3, rank=number % 2, node="mac-1",
        started_at=NOW - 60, ended_at=NOW - 59, success=True, stdout=f"out {number}\n", stderr=f"err {number}\n",
        python_logs=f"log {number}\n", tags={"user": "ann" if number == 1 else "bob"},
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def fill(state: StateDirectory) -> None:
    journal = Journal(state.journal_file, run_id=RUN)
    incident = msgspec.structs.replace(
        INCIDENT, occurred_at=NOW - 50, task_ids=("req-1", "req-2"), evidence=(f"token: {SECRET}", "it broke")
    )
    journal.write(incident)
    journal.write(
        GenerationRecord(
            run_id=RUN, generation=3, model="tiny", world_size=2, started_at=NOW - 90, incident_id=INCIDENT.incident_id
        )
    )
    for number in (1, 2, 9):
        failed = number != 9
        journal.write(
            TaskRecord(
                run_id=RUN, task_id=f"req-{number}", generation=3, model="tiny", started_at=NOW - 60, ended_at=NOW - 50,
                outcome=TaskOutcome.FAILED if failed else TaskOutcome.FINISHED, prompt_tokens=812, completion_tokens=17,
                incident_id=INCIDENT.incident_id if failed else None, detail=None if failed else "stop",
                tags={"user": "ann", "note": f"password={UNSHAPED}"},
            )
        )  # fmt: skip
        journal.write(captured(number))
    journal.write(captured(2, log_id="log-2b", rank=1, stderr=f"\x1b[2Jexport HF_TOKEN={SECRET}\n", success=False))
    journal.write(EventRecord(run_id=RUN, at=NOW - 50, kind="death", text="rank 1 died", generation=3, rank=1))
    assert journal.close()
    folder = RawLogFolder(state.raw_logs_folder).generation(RUN, 3)
    folder.mkdir(parents=True)
    (folder / "rank-0.stderr.log").write_text("loading\nrank 0 lost its peer\n")
    # A secret that a rotation cut in two.
    (folder / "rank-1.stderr.log.1").write_text(f"first line\nusing {SECRET[:9]}")
    (folder / "rank-1.stderr.log").write_text(f"{SECRET[9:]} now\nno newline at the end")
    (folder / "rank-1.stdout.log").write_text("hello\n")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    fill(StateDirectory(folder))
    return folder


def logs(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringwarden("logs", "--state-dir", str(state), *arguments)


def shown(state: Path, *arguments: str) -> list[dict[str, Any]]:
    outcome = logs(state, "--json", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_all_that_the_ranks_wrote_is_shown_in_order_over_rotations(state: Path):
    outcome = logs(state)
    assert outcome.returncode == 0, outcome.stderr
    assert [line.split("| ", 1)[1] for line in outcome.stdout.splitlines()] == [
        "loading", "rank 0 lost its peer", "first line", f"using {SECRET} now", "no newline at the end", "hello",
    ]  # fmt: skip
    assert outcome.stdout.splitlines()[0].startswith("rank 0 stderr| ")
    assert [line["line"] for line in shown(state, "--rank", "1", "--stream", "stdout")] == ["hello"]
    assert len(shown(state, "--since", "1h", "--generation", "3")) == 6
    assert shown(state, "--until", "1h") == []


def test_a_traceback_that_stderr_has_too_is_shown_once():
    traceback = "Traceback (most recent call last):\nValueError: no\n"
    for stderr, before in ((f"begun\n{traceback}", ["begun"]), ("begun\n", ["begun"]), ("", [])):
        log = captured(1, stderr=stderr, traceback=traceback)
        assert [line.line for line in captured_lines(log, LogStream.STDERR)] == [*before, *traceback.splitlines()]


def test_tasks_are_found_by_id_tag_rank_and_stream(state: Path):
    (line,) = shown(state, "--task", "req-1", "--stream", "python")
    assert line == {
        "generation": 3, "rank": 1, "stream": "python", "line": "log 1", "run_id": RUN, "task_id": "req-1",
        "at": line["at"], "tags": {"user": "ann"},
    }  # fmt: skip
    assert {found["task_id"] for found in shown(state, "--tag", "user=bob")} == {"req-2", "req-9"}
    assert {found["task_id"] for found in shown(state, "--tag", "user=bob", "--rank", "1")} == {"req-2", "req-9"}
    people = logs(state, "--task", "req-2", "--stream", "stderr").stdout
    assert "req-2  rank 0 on mac-1, generation 3, ok" in people
    assert "failed" in people
    assert "\x1b" not in people


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--tag", "no-such name=1"], 64, ["begins with a letter"]),
        (["--tag", "user"], 64, ["--tag NAME=VALUE"]),
        (["--tag", "colour=red"], 65, ["no task has a tag colour", "user"]),
        (["--since", "yesterday"], 64, ["--since", "neither a time nor a duration"]),
        (["--stream", "sideways"], 64, ["--stream"]),
        (["--generation", "99"], 65, ["no generation 99", "The newest is 3"]),
        (["--export", "jsonl", "--follow"], 64, ["--follow"]),
        (["--output", "x"], 64, ["--export"]),
        (["--export", "parquet"], 64, ["--output"]),
    ],
)
def test_what_cannot_be_looked_for_is_said(state: Path, arguments: list[str], code: int, words: list[str]):
    assert_complaint(logs(state, *arguments), code, *words)


def test_no_journal_and_a_broken_one_are_said(tmp_path: Path):
    assert_complaint(logs(tmp_path), 69, "there is no journal", "ringwarden up")
    StateDirectory(tmp_path).journal_file.write_bytes(b"broken " * 1000)
    assert_complaint(logs(tmp_path), 65, "cannot be read")


def test_export_as_json_lines_has_a_column_for_each_tag_and_overwrites_nothing(state: Path, tmp_path: Path):
    file = tmp_path / "logs.jsonl"
    assert logs(state, "--export", "jsonl", "--output", str(file)).stdout.startswith("4 captured logs")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["log_id"] for row in rows] == ["log-1", "log-2", "log-9", "log-2b"]
    assert {row["tag_user"] for row in rows} == {"ann", "bob"}
    assert rows[0]["tag_note"] is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert_complaint(logs(state, "--export", "jsonl", "--output", str(file)), 64, "exists")
    assert len(logs(state, "--export", "jsonl", "--task", "req-2").stdout.splitlines()) == 2


def test_export_as_parquet(state: Path, tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra, and not installed here")
    file = tmp_path / "logs.parquet"
    assert logs(state, "--export", "parquet", "--output", str(file)).returncode == 0
    rows = parquet.read_table(file).to_pylist()
    assert [row["log_id"] for row in rows] == ["log-1", "log-2", "log-9", "log-2b"]
    assert (rows[0]["rank"], rows[0]["success"], rows[0]["tag_user"]) == (1, True, "ann")


def test_parquet_without_pyarrow_names_the_remedy(state: Path, tmp_path: Path):
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('none of it')")
    file = tmp_path / "x.parquet"
    arguments = ("logs", "--state-dir", str(state), "--export", "parquet", "--output", str(file))
    project = str(Path(__file__).resolve().parents[2])
    outcome = ringwarden(*arguments, PYTHONPATH=os.pathsep.join((str(tmp_path), project)))
    assert_complaint(outcome, 69, "pyarrow", "ringwarden[parquet]")
    assert not file.exists()


@contextmanager
def following(state: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "supervisor.cli", "logs", "--follow", "--state-dir", str(state), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_following_a_task_ends_with_ctrl_c_and_leaves_no_trace(tmp_path: Path):
    journal = Journal(StateDirectory(tmp_path).journal_file, run_id=RUN)
    journal.write(captured(1, task_id="req-1"))
    assert journal.flush(DEADLINE_S)
    with following(tmp_path, "--tag", "user=ann", "--stream", "stderr", "--json") as process:
        assert "err 1" in read_line(process)
        journal.write(captured(5, tags={"user": "ann"}))
        assert "err 5" in read_line(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out, err) == (130, "", "")
    assert journal.close()


def test_following_raw_output_goes_on_over_rotations_and_generations_until_its_reader_leaves(tmp_path: Path):
    state = StateDirectory(tmp_path)
    journal = Journal(state.journal_file, run_id=RUN)
    first = GenerationRecord(run_id=RUN, generation=1, model="tiny", world_size=1, started_at=NOW)
    journal.write(first)
    assert journal.flush(DEADLINE_S)
    folder = RawLogFolder(state.raw_logs_folder)
    file = folder.file(RUN, 1, 0, "stderr")
    file.parent.mkdir(parents=True)
    file.write_text("one\n")
    with following(tmp_path) as process:
        assert read_line(process).endswith("| one\n")
        with file.open("a") as log:
            log.write("two\nthr")
        assert read_line(process).endswith("| two\n")
        file.rename(file.with_name(file.name + ".1"))
        file.write_text("ee\n")
        assert read_line(process).endswith("| three\n")
        second = folder.file(RUN, 2, 0, "stderr")
        second.parent.mkdir(parents=True)
        second.write_text("four\n")
        journal.write(msgspec.structs.replace(first, generation=2, started_at=NOW + 1))
        assert read_line(process).endswith("| four\n")
        assert process.stdout is not None
        process.stdout.close()  # like `| head -4`
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert journal.close()


def why(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringwarden("why", "--state-dir", str(state), *arguments)


def test_why_says_what_the_clients_asked(state: Path):
    story = why(state, "req-2").stdout
    assert "req-1: model tiny, 812 prompt tokens, 17 tokens emitted, after 10.0 s" in story
    assert "user=ann" in story
    assert "req-9" not in story


def test_why_tells_a_request_that_met_no_incident(state: Path):
    story = why(state, "req-9").stdout
    assert "It ended well." in story
    assert "ringwarden logs --task req-9" in story
    assert json.loads(why(state, "req-9", "--json").stdout)["outcome"] == "finished"
    assert_complaint(why(state, "req-9", "--bundle"), 65, "req-9 met no incident")
    assert "ringwarden logs --task req-9" in why(state, "req-9", "--bundle").stderr


def test_a_bundle_has_all_of_it_and_no_secret(state: Path, tmp_path: Path):
    file = tmp_path / "it.zip"
    environment = {
        "RINGWARDEN_API_KEY": "a-key-of-more-than-sixteen",
        "MLX_METAL_FAST_SYNCH": "1",
        "MY_SECRET": "it broke",
    }
    arguments = ("why", INCIDENT.incident_id, "--bundle", str(file), "--state-dir", str(state))
    outcome = ringwarden(*arguments, **environment)
    assert outcome.returncode == 0, outcome.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert set(members) == {
        "README.txt", "incident.json", "versions.json", "settings.json", "tasks.jsonl", "captured_logs.jsonl",
        "story.txt", "generation.json", "events.jsonl", "raw/rank-0.stderr.log", "raw/rank-1.stderr.log",
        "raw/rank-1.stdout.log",
    }  # fmt: skip
    for name, content in members.items():
        for secret in (SECRET, SECRET[9:], UNSHAPED, "a-key-of-more-than-sixteen", "it broke"):
            assert secret.encode() not in content, name
    incident = msgspec.json.decode(members["incident.json"], type=Incident)
    assert incident.incident_id == INCIDENT.incident_id
    assert INCIDENT.message in members["story.txt"].decode()
    assert len(members["captured_logs.jsonl"].splitlines()) == 3
    assert b"rank 1 died" in members["events.jsonl"]
    assert b"first line\nusing ***removed*** now\n" in members["raw/rank-1.stderr.log"]
    assert json.loads(members["versions.json"])["python"] == ".".join(map(str, sys.version_info[:3]))
    assert json.loads(members["settings.json"])["environment"]["MLX_METAL_FAST_SYNCH"] == "1"
    before = file.read_bytes()
    assert_complaint(ringwarden(*arguments), 64, "exists")
    assert file.read_bytes() == before
