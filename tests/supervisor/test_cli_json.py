"""`--json` on every command: JSON and nothing else on stdout; errors are text on stderr, with a typed exit code."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import typer.main
import zmq
from typer.core import TyperGroup

from supervisor.cli.main import app, main
from supervisor.exit_code import ExitCode
from supervisor.journal.journal import Journal
from supervisor.journal.records import CapturedLog, EventRecord, GenerationRecord, TaskOutcome, TaskRecord
from supervisor.state_directory import StateDirectory
from tests.supervisor.canned_daemon import INCIDENT
from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import serving
from transports.http.request_view import RequestState, RequestView

TESTED_ELSEWHERE = {
    "demo": "test_cli_demo.py",
    "doctor": "doctor/test_doctor_command.py",
    "run": "run/test_output.py",
    "service install": "service/conftest.py",
    "service uninstall": "service/conftest.py",
    "service status": "service/conftest.py",
}
"""They start processes or change this machine."""
WITHOUT_JSON = {"up", "join"}
"""They run until they are stopped; their log can be JSON (`log_format`)."""


def leaves(group: TyperGroup, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        whole = f"{above} {name}".strip()
        if isinstance(command, TyperGroup):
            yield from leaves(command, whole)
        else:
            yield whole, command


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


COMMANDS = dict(leaves(cast(TyperGroup, typer.main.get_command(app))))
GOOD = [
    "ps --url {url}",
    "top --once --url {url}",
    "requests --url {url}",
    "cancel req-open --url {url}",
    "incidents --url {url}",
    "incidents --state-dir {state}",
    "incidents --state-dir {empty}",
    "why --state-dir {state}",
    "why req-one --state-dir {state}",
    "why req-fine --state-dir {state}",
    "why --bundle {new}.zip --state-dir {state}",
    "logs --state-dir {state} --task req-fine",
    "logs --state-dir {state} --rank 7",
    "logs --state-dir {state} --export jsonl",
    "logs --state-dir {state} --export jsonl --output {new}.jsonl",
    "events --state-dir {state}",
    "events --state-dir {state} --since 1s",
    "diagnose {log}",
    "diagnose {log} {log}",
    "diagnose --group 0={log}:1 1={log}:-9",
    "config check {empty}.toml",
    "config show",
    "config schema",
    "keys --state-dir {state}",
    "keys show --state-dir {state}",
    "keys accept mini {key} --state-dir {state}",
    "keys list --state-dir {state}",
    "keys remove mini --state-dir {state}",
]
BAD = [
    ("ps --url http://127.0.0.1:1", ExitCode.UNAVAILABLE),
    ("ps --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("top --once --url http://127.0.0.1:1", ExitCode.UNAVAILABLE),
    ("top --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("requests --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("cancel req-none --url {url}", ExitCode.BAD_DATA),
    ("incidents --url ::::", ExitCode.USAGE),
    ("why nothing-like-it --state-dir {state}", ExitCode.BAD_DATA),
    ("why --bundle {log}.zip --state-dir {empty}", ExitCode.BAD_DATA),
    ("logs --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("logs --since yesterday --state-dir {state}", ExitCode.USAGE),
    ("events --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("events --follow --state-dir {empty}", ExitCode.UNAVAILABLE),
    ("events --since soon --state-dir {state}", ExitCode.USAGE),
    ("events --type weather --state-dir {state}", ExitCode.USAGE),
    ("diagnose {empty}/none.log", ExitCode.BAD_DATA),
    ("config show --port many", ExitCode.USAGE),
    ("keys accept mini no-key --state-dir {state}", ExitCode.BAD_DATA),
    ("keys remove nobody --state-dir {state}", ExitCode.BAD_DATA),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("json")
    state = folder / "state"
    now = time.time()
    journal = Journal(StateDirectory(state).journal_file, run_id="run-1")
    facts: dict[str, Any] = {"run_id": "run-1", "generation": 3}
    fine: dict[str, Any] = {"task_id": "req-fine", "started_at": now - 9}
    journal.write(GenerationRecord(model="tiny", world_size=2, started_at=now - 10, **facts))
    outcome = {"ended_at": now - 8, "outcome": TaskOutcome.FINISHED, "completion_tokens": 3}
    journal.write(TaskRecord(model="tiny", **facts, **fine, **outcome))
    journal.write(
        CapturedLog(log_id="l", rank=0, node="mac", ended_at=now, success=True, stdout="one\ntwo", **facts, **fine)
    )
    journal.write(EventRecord(at=now - 7, kind="state", text="group is ready", **facts))
    journal.write(INCIDENT)
    assert journal.close()
    log = folder / "rank.log"
    log.write_text("libc++abi: terminating due to uncaught exception: [METAL] Command buffer execution failed\n")
    (folder / "empty.toml").write_text("")
    gateway = ScriptedGateway()
    gateway.open_requests = (RequestView("req-open", "tiny", RequestState.DECODE, 1.5, 7),)
    with serving(gateway) as running:
        yield {
            "url": running.url,
            "state": str(state),
            "empty": str(folder / "empty"),
            "log": str(log),
            "new": str(folder / "new"),
            "key": zmq.curve_keypair()[0].decode(),
        }


Outcome = tuple[int, str, str]
Ringwarden = Callable[[Sequence[str]], Outcome]


@pytest.fixture
def ringwarden(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Ringwarden:
    """The command, in this process: what it writes is caught at the descriptors, as a pipe would get it."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: Sequence[str]) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ringwarden", *arguments])
        code = main()
        sys.stdout.flush()
        return (code, *capfd.readouterr())

    return run


def words(line: str, places: dict[str, str]) -> list[str]:
    return [word.format_map(places) for word in line.split()]


def test_every_command_with_json_is_in_a_table():
    tabled = {name for name in COMMANDS for line in GOOD if line.split()[: name.count(" ") + 1] == name.split()}
    with_json = {name for name, command in COMMANDS.items() if "--json" in options(command)}
    assert with_json == tabled | set(TESTED_ELSEWHERE)
    assert set(COMMANDS) - with_json == WITHOUT_JSON
    for file in TESTED_ELSEWHERE.values():
        assert "--json" in (Path(__file__).parent / file).read_text()


@pytest.mark.parametrize("line", GOOD)
def test_json_is_all_that_is_printed(line: str, places: dict[str, str], ringwarden: Ringwarden):
    code, out, err = ringwarden([*words(line, places), "--json"])
    assert (code, err) == (0, "")
    try:
        documents: list[Any] = [json.loads(out)]
    except ValueError:
        documents = [json.loads(text) for text in out.splitlines()]
        assert documents or line.startswith(("logs", "events")), "only what comes in lines may be nothing at all"
    assert "\x1b" not in out
    assert all(isinstance(document, dict | list) for document in documents)


@pytest.mark.parametrize(("line", "code"), BAD)
def test_an_error_is_one_line_on_stderr_and_a_typed_code(
    line: str, code: ExitCode, places: dict[str, str], ringwarden: Ringwarden
):
    ended_with, out, err = ringwarden([*words(line, places), "--json"])
    assert (ended_with, out) == (code, ""), err
    assert err.startswith("ringwarden: ")
    assert err.count("\n") == 1
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(err)
