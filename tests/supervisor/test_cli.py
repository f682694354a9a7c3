"""The command as a person or a script meets it: a real process, real output, real exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from diagnostics.incident import Incident
from supervisor.journal.journal import Journal
from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.supervisor.canned_daemon import BODIES, CANCELLED, CLUSTER, EARLIER, INCIDENT, REQUESTS, serving
from transports.http.gateway import ClusterView
from transports.http.request_view import CancelledView, RequestView

A_KEY = "a-key-of-more-than-sixteen-characters"


def ringwarden(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RINGWARDEN_")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**inherited, **environment},
        check=False,
    )


def assert_complaint(outcome: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    assert outcome.returncode == exit_code, outcome
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.stderr
    assert "\x1b" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr


@pytest.fixture(scope="module")
def url() -> Generator[str, None, None]:
    with serving(BODIES) as address:
        yield address


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["nonsense"]),
        (["ps", "--nonsense"], ["--nonsense"]),
        (["why", "one", "two"], ["two"]),
        (["up", "--port", "many"], ["--port"]),
        (["up", "--port", "99999"], ["--port", "65535"]),
        (["up", "--ranks", "0"], ["--ranks", ">= 1"]),
        (["up", "--parallel", "3d"], ["--parallel"]),
        (["up", "--log-format", "xml"], ["--log-format", "json"]),
        (["up", "--engine", "nowhere"], ["--engine"]),
        (["up", "--host", "0.0.0.0"], ["API key", "--insecure"]),
        (["ps", "--url", "::::"], ["--url"]),
    ],
)
def test_wrong_usage_exits_64(arguments: list[str], words: list[str]):
    assert_complaint(ringwarden(*arguments), 64, *words)


def test_no_command_shows_the_help_and_exits_64():
    outcome = ringwarden()
    assert outcome.returncode == 64
    assert "Serve:\n" in outcome.stdout


def test_help_and_version_exit_0():
    assert "--ranks" in ringwarden("up", "--help").stdout
    assert ringwarden("--version").stdout.startswith("ringwarden ")


def test_a_wrong_variable_or_file_exits_78(tmp_path: Path):
    assert_complaint(ringwarden("ps", RINGWARDEN_PORT="many"), 78, "RINGWARDEN_PORT")
    file = tmp_path / "settings.toml"
    file.write_text("rank = 2\n")
    assert_complaint(ringwarden("up", "--config", str(file)), 78, "settings.toml", "Did you mean ranks?")


def test_no_daemon_exits_69(tmp_path: Path):
    assert_complaint(ringwarden("ps", "--state-dir", str(tmp_path)), 69, "no daemon", "ringwarden up")
    assert_complaint(ringwarden("ps", "--url", "http://127.0.0.1:1"), 69, "nobody answers", "ringwarden up")


def test_a_record_of_a_dead_daemon_exits_69(tmp_path: Path):
    state = StateDirectory(tmp_path)
    state.write_daemon(DaemonRecord(pid=1, url="http://127.0.0.1:1", started_at=0.0, version="0"))
    assert_complaint(ringwarden("ps", "--state-dir", str(tmp_path)), 69, "nobody answers")


def test_ps_finds_the_daemon_by_its_state_folder(url: str, tmp_path: Path):
    StateDirectory(tmp_path).write_daemon(DaemonRecord(pid=1, url=url, started_at=0.0, version="0"))
    outcome = ringwarden("ps", RINGWARDEN_STATE_DIR=str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    first, header, *rows = outcome.stdout.splitlines()
    assert "restarting" in first
    assert "rank 1 died  next start in 2.5 s" in first
    assert "inc-7f3a" in first
    assert header.split() == ["rank", "pid", "node", "state", "generation"]
    assert [row.split() for row in rows] == [
        ["0", "4100", "mac-1", "loading", "3/4", "layers", "4"],
        ["1", "-", "mac-1", "failed", "4"],
    ]
    assert "\x1b" not in outcome.stdout


def test_ps_json_is_the_cluster_view(url: str):
    outcome = ringwarden("ps", "--json", "--url", url)
    assert msgspec.json.decode(outcome.stdout, type=ClusterView) == CLUSTER


def test_open_requests_are_listed(url: str):
    outcome = ringwarden("requests", "--url", url)
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert rows[0] == ["request", "model", "state", "age", "tokens", "tags"]
    assert rows[1:] == [
        ["req-one", "tiny", "decode", "12.3", "s", "40"],
        ["req-two", "tiny", "prefill", "512/3200", "3.0", "s", "0"],
        ["req-\\x1b[2J", "tiny", "queued", "3/17", "1.0", "s", "0", "user=ann"],
    ]
    told = ringwarden("requests", "--json", "--url", url).stdout
    assert msgspec.json.decode(told, type=tuple[RequestView, ...]) == REQUESTS


def test_a_request_is_cancelled_by_its_id(url: str):
    assert ringwarden("cancel", "chatcmpl-9/", "--url", url).stdout == "chatcmpl-9/ was cancelled after 7 tokens.\n"
    told = ringwarden("cancel", "chatcmpl-9/", "--json", "--url", url).stdout
    assert msgspec.json.decode(told, type=CancelledView) == CANCELLED
    assert_complaint(ringwarden("cancel", "unknown", "--url", url), 65, "unknown", "ringwarden requests")


def test_incidents_are_listed(url: str):
    outcome = ringwarden("incidents", "--url", url)
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["incident", "inc-7f3a", "inc-1111"]
    decoded = msgspec.json.decode(ringwarden("incidents", "--json", "--url", url).stdout, type=tuple[Incident, ...])
    assert decoded == (INCIDENT, EARLIER)


@pytest.mark.parametrize("wanted", [(), ("inc-7f3a",), ("inc-7",), ("req-two",)])
def test_why_tells_the_story(url: str, wanted: tuple[str, ...]):
    outcome = ringwarden("why", *wanted, "--url", url)
    assert outcome.returncode == 0, outcome.stderr
    story = outcome.stdout
    assert len(story.splitlines()) <= 24, "it must fit on one screen"
    for part in (
        INCIDENT.message,
        "metal_gpu_timeout, certain",
        "Shorten the prompt.",
        "rank 1 on mac-1, running, generation 3, model tiny",
        "rank 0 on mac-1, pid 4000: a victim; ring_peer_closed, exit code 1",
        "rank 1 on mac-1, pid 4001: the cause; metal_gpu_timeout, signal 6 (SIGABRT)",
        "> [METAL] Command buffer execution failed",
        "ready again after 1.2 s",
        "2 ended with this error: req-one, req-two",
    ):
        assert part in story


def test_what_a_runner_wrote_cannot_steer_the_terminal(url: str):
    story = ringwarden("why", "--url", url).stdout
    assert "\x1b" not in story
    assert "\\x1b[2J" in story


def test_why_asks_for_more_of_an_ambiguous_id_and_knows_what_it_does_not_know(url: str, tmp_path: Path):
    assert_complaint(ringwarden("why", "inc-", "--url", url), 65, "inc-7f3a", "inc-1111")
    assert_complaint(ringwarden("why", "../../etc/passwd", "--url", url, "--state-dir", str(tmp_path)), 65, "passwd")


def test_incidents_and_why_work_without_a_daemon(tmp_path: Path):
    journal = Journal(StateDirectory(tmp_path).journal_file, run_id="run-1")
    journal.write(INCIDENT)
    assert journal.close()
    assert "inc-7f3a" in ringwarden("incidents", "--state-dir", str(tmp_path)).stdout
    told = json.loads(ringwarden("why", "--json", "--state-dir", str(tmp_path)).stdout)
    assert told["incident_id"] == "inc-7f3a"
    empty = ringwarden("incidents", "--state-dir", str(tmp_path / "none"))
    assert (empty.returncode, empty.stdout) == (0, "no incidents\n")


def test_an_api_key_is_sent_when_it_is_given(tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(A_KEY)
    with serving(BODIES, api_key=A_KEY) as guarded:
        assert_complaint(ringwarden("ps", "--url", guarded), 78, "--api-key-file")
        assert ringwarden("ps", "--url", guarded, "--api-key-file", str(key)).returncode == 0
        assert ringwarden("ps", "--url", guarded, RINGWARDEN_API_KEY=A_KEY).returncode == 0


@pytest.mark.parametrize(
    "body", [b"", b'{"model": 1}', *(pytest.param(one, marks=pytest.mark.soak) for one in (b"<html>", b"[]", b"\xff"))]
)
def test_an_answer_that_is_none_of_ours_exits_65(body: bytes):
    with serving({"/cluster": body}) as address:
        assert_complaint(ringwarden("ps", "--url", address), 65, "cannot be understood")
    with serving({}) as address:
        assert_complaint(ringwarden("ps", "--url", address), 65, "404")


def test_a_reader_that_goes_away_is_no_error(url: str):
    command = f'"{sys.executable}" -m supervisor.cli incidents --url {url} | true; echo "${{PIPESTATUS[0]}}"'
    outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert outcome.stdout == "0\n"
    assert outcome.stderr == ""
