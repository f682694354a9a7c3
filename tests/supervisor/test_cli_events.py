"""`events`: from the journal, from a daemon, and from one daemon after the other."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from diagnostics.cause import Cause
from diagnostics.phase import Phase
from supervisor.cli.event_feed import FeedLost, NumberedEvent, event_feed
from supervisor.cli.event_rows import EventType, LiveRows, kept_row, row_text, task_row
from supervisor.cli.events import MAX_TASKS, until_now
from supervisor.cli.terminal import json_line
from supervisor.journal.journal import Journal
from supervisor.journal.records import EventRecord, TaskOutcome, TaskRecord
from supervisor.live.hub import LiveHub
from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.supervisor.canned_daemon import INCIDENT
from tests.supervisor.canned_daemon import serving as serving_canned
from tests.supervisor.conftest import wait_until
from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import serving
from transports.http.gateway import GroupState
from transports.live import (
    IncidentSeen,
    LiveListener,
    Missed,
    OutputLine,
    OutputSkipped,
    PhaseChanged,
    RankDied,
    RequestEnded,
    Snapshot,
    StateChanged,
)

NOW = 1_790_000_000.0


def test_json_of_what_a_runner_wrote_cannot_steer_a_terminal_either(capfd: pytest.CaptureFixture[str]):
    text = "\x1b[2J \x9b2J \x7f \u202e \U000e0041 \u00fc"
    sys.stdout.write(json_line({"text": text}))
    sys.stdout.flush()
    out = capfd.readouterr().out
    assert out.removesuffix("\n").isprintable()
    assert json.loads(out) == {"text": text}


def row(event: Any) -> dict[str, Any]:
    told = LiveRows().row(event, 9, NOW)
    assert told is not None
    return msgspec.to_builtins(told)


def test_each_event_of_a_daemon_is_a_row():
    assert row(StateChanged(NOW, GroupState.READY, None, 2)) == {
        "at": NOW,
        "type": "state",
        "text": "group is ready",
        "generation": 2,
        "id": 9,
    }
    assert row(PhaseChanged(NOW, 1, Phase.LOADING, 2))["text"] == "rank 1 is loading"
    died = row(RankDied(NOW, 1, 2, "mac", Cause.SEGFAULT, "Rank 1 died", "inc-1", 5.0))
    assert (died["type"], died["rank"], died["node"], died["incident_id"]) == ("death", 1, "mac", "inc-1")
    output = row(OutputLine(NOW, 1, "stderr", "hello", ("req-1",), "exact"))
    assert (output["text"], output["task_id"]) == ("[rank 1 stderr] hello", "req-1")
    assert "120 bytes" in row(OutputSkipped(NOW, 1, "stdout", 120))["text"]
    ended = row(RequestEnded(NOW, "req-1", "failed", NOW - 2, "Rank 1 died", 10, 7, "inc-1"))
    assert ended["text"] == "request failed after 2.0 s, 7 tokens, Rank 1 died"
    assert row(Missed(3))["text"] == "3 events passed that were not seen here"


def test_an_incident_is_told_twice_however_many_versions_there_are():
    rows = LiveRows()
    open_one = msgspec.structs.replace(INCIDENT, recovered_after_s=None)
    told = [rows.row(IncidentSeen(NOW, one), 1, NOW) for one in (open_one, open_one, INCIDENT, INCIDENT)]
    types = [one.type for one in told if one is not None]
    assert types == [EventType.INCIDENT, EventType.RECOVERED]
    assert [one is None for one in told] == [False, True, False, True]


def test_rows_of_the_journal_look_the_same():
    kept = kept_row(EventRecord(run_id="r", at=NOW, kind="state", text="group is ready", generation=2))
    live = LiveRows().row(StateChanged(NOW, GroupState.READY, None, 2), None, NOW)
    assert kept == live
    assert kept_row(EventRecord(run_id="r", at=NOW, kind="weather", text="rain")) is None
    task = TaskRecord(run_id="r", task_id="req-1", generation=2, model="tiny", started_at=NOW - 2)
    assert task_row(task) is None
    over = msgspec.structs.replace(task, ended_at=NOW, outcome=TaskOutcome.FINISHED, completion_tokens=1, detail="stop")
    ended = task_row(over)
    assert ended is not None
    assert ended.text == "request finished after 2.0 s, 1 token"
    assert "\x1b" not in row_text(msgspec.structs.replace(ended, text="\x1b[2J")).plain


@contextmanager
def ringwarden(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RINGWARDEN_")}
    command = [sys.executable, "-m", "supervisor.cli", "events", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=inherited) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_daemon_that_is_named_tells_what_it_keeps_and_the_command_ends():
    gateway = ScriptedGateway()
    with serving(gateway) as running:
        running.call(lambda: gateway.live.publish(StateChanged(NOW, GroupState.READY, None, 1)))
        running.call(lambda: gateway.live.publish(OutputLine(NOW, 0, "stdout", "hello", (), "none")))
        with ringwarden("--json", "--url", running.url) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["group is ready"]


def test_who_follows_sees_one_daemon_after_the_other(tmp_path: Path):
    state, gateway = StateDirectory(tmp_path), ScriptedGateway()
    state.create()

    def record(url: str) -> None:
        state.write_daemon(DaemonRecord(pid=1, url=url, started_at=0.0, version="0"))

    with serving(gateway) as first:
        record(first.url)
        first.call(lambda: gateway.live.publish(StateChanged(time.time(), GroupState.READY, None, 1)))
        with ringwarden("--follow", "--since", "1m", "--json", f"--state-dir={tmp_path}") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["text"] == "group is ready"
            first.begin_stop()
            first.join()
            assert "was lost" in process.stderr.readline()
            later = ScriptedGateway()
            with serving(later) as second:
                record(second.url)
                second.call(lambda: later.live.publish(StateChanged(time.time(), GroupState.STARTING, None, 2)))
                assert "answers again" in process.stderr.readline()
                texts = [json.loads(process.stdout.readline())["text"] for _ in range(2)]
                assert texts[-1] == "group is starting", texts
                assert "not seen here" in texts[0], "another daemon numbers its events anew"


class ListenedTo(LiveHub):
    """Says when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.is_listened_to = threading.Event()

    def listen(self, since: int | None, names: frozenset[str]) -> LiveListener:
        self.is_listened_to.set()
        return super().listen(since, names)


@pytest.mark.soak
def test_who_follows_and_has_seen_nothing_yet_misses_nothing_of_the_next_daemon(tmp_path: Path):
    state, gateway = StateDirectory(tmp_path), ScriptedGateway()
    state.create()
    hub = gateway.live = ListenedTo()
    with serving(gateway) as first:
        state.write_daemon(DaemonRecord(pid=1, url=first.url, started_at=0.0, version="0"))
        with ringwarden("--follow", "--json", f"--state-dir={tmp_path}") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert hub.is_listened_to.wait(60)
            first.begin_stop()
            first.join()
            assert "was lost" in process.stderr.readline()
            later = ScriptedGateway()
            later.live.publish(StateChanged(time.time(), GroupState.STARTING, None, 1))
            with serving(later) as second:
                state.write_daemon(DaemonRecord(pid=1, url=second.url, started_at=0.0, version="0"))
                assert "not seen here" in json.loads(process.stdout.readline())["text"]
                assert json.loads(process.stdout.readline())["text"] == "group is starting"


def test_all_that_is_kept_is_told_also_when_it_takes_longer_than_a_second():
    def snapshot(at: float) -> NumberedEvent:
        return NumberedEvent(None, Snapshot(at, ScriptedGateway().cluster()))

    def line(at: float) -> NumberedEvent:
        return NumberedEvent(int(at), OutputLine(at, 0, "stderr", "text", (), "none"))

    place = NumberedEvent(0, None)
    kept = [place, snapshot(100.0), line(1.0), snapshot(101.0), line(2.0), snapshot(102.0), line(101.5)]
    assert list(until_now([*kept, snapshot(103.0), line(103.5)])) == kept
    idle = [place, snapshot(100.0), line(1.0), snapshot(101.0)]
    assert list(until_now([*idle, snapshot(102.0)])) == idle
    assert list(until_now([place, snapshot(100.0), snapshot(101.0)])) == [place, snapshot(100.0)]


@pytest.mark.parametrize("url", ["localhost:52415", "http://[::1", "http://127.0.0.1:port", "ftp://mac/", "http://"])
@pytest.mark.parametrize("flags", [(), ("--follow",)])
def test_an_address_that_is_none_is_named(url: str, flags: tuple[str, ...]):
    with ringwarden(*flags, "--url", url) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (64, "")
    assert f"--url {url} is no URL" in err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"event: Snapshot\ndata: {}\n\n", "cannot be understood"),
        (b"event: StateChanged\nid: 1\ndata: nonsense\n\n", "cannot be understood"),
        (b": comment\n\nevent: Weather\ndata: {}\n\n", "it ended"),
        (b"data: " + b"x" * 3_000, "without an end"),
    ],
)
def test_what_is_no_event_of_ours_ends_the_connection_with_a_reason(body: bytes, words: str):
    with (
        serving_canned({"/events?types=Snapshot": body}) as url,
        event_feed(url, None, since=None, names=("Snapshot",), max_event_bytes=2_000) as events,
        pytest.raises(FeedLost, match=words),
    ):
        list(events)


@pytest.mark.parametrize(("requests", "types"), [(1, []), (MAX_TASKS + 1, ["missed"])])
def test_the_journal_is_enough(tmp_path: Path, requests: int, types: list[str]):
    journal = Journal(StateDirectory(tmp_path).journal_file, run_id="run-1")
    journal.write(EventRecord(run_id="r", at=NOW, kind="state", text="group is ready"))
    for number in range(requests):
        began_at = NOW - 9 - number
        facts: dict[str, Any] = {"run_id": "r", "generation": 1, "model": "tiny", "outcome": TaskOutcome.CANCELLED}
        journal.write(TaskRecord(task_id=f"req-{number}", started_at=began_at, ended_at=began_at + 8, **facts))
    assert journal.close()
    with ringwarden(f"--state-dir={tmp_path}") as process:
        out, _ = process.communicate(timeout=60)
    wait_until(lambda: process.poll() == 0, "it ended well")
    shown = min(requests, MAX_TASKS)
    assert [line.split()[2] for line in out.splitlines()] == [*types, *["request"] * shown, "state"]
    assert out.rstrip().endswith("group is ready")
