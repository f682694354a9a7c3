"""`ringwarden doctor` as a person types it. MLX is a copy that fails at once, except where it is the point."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from supervisor.cli.main import main
from supervisor.doctor.clock import read_clock
from supervisor.redaction import HIDDEN
from supervisor.state_directory import DaemonRecord, StateDirectory
from tests.end_to_end.service import scripted_service

ORDER = [
    "python", "mlx", "metal", "mlx-lm", "system", "gpu-memory", "memory", "open-files", "port-api", "port-bus",
    "port-bus-events", "state-folder", "journal", "disk-state", "disk-models", "settings", "key-own", "keys-trusted",
    "key-api", "stray-runners", "leftover-files", "head", "local-network", "nodes", "clock", "rdma", "ring-links",
    "proxy", "sleep", "daemon", "last-incident", "version", "ring",
]  # fmt: skip


class Outcome(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Type `ringwarden doctor ...` in an empty folder; the state folder is `state` there."""
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text("raise ImportError('this copy does not work')")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RINGWARDEN_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RINGWARDEN_STATE_DIR", str(tmp_path / "state"))

    def typed(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ringwarden", "doctor", *arguments])
        capsys.readouterr()
        return Outcome(int(main()), *capsys.readouterr())

    return typed


def rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    document = json.loads(outcome.stdout)
    assert document["exit_code"] == outcome.returncode
    assert document["ok"] == (outcome.returncode == 0)
    return {row["check"]: row for row in document["checks"]}


def test_every_check_is_there_in_order_and_the_worst_decides(doctor: Callable[..., Outcome], tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = doctor("--json", f"--port={port}")
    found = rows(outcome)
    assert list(found) == ORDER
    assert outcome.returncode == 69
    assert found["port-api"]["state"] == "failed"
    assert f"pid {os.getpid()}" in found["port-api"]["evidence"][0]
    assert "this copy does not work" in " ".join(found["mlx"]["evidence"])
    assert found["state-folder"]["state"] == "ok"
    # Where there is no journal, nothing can be said of incidents.
    assert found["last-incident"]["state"] == "skipped"
    assert not (tmp_path / "state").exists()


def test_every_check_is_explained():
    page = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert [check for check in ORDER if f"| `{check}` |" not in page] == []


def test_wrong_settings_are_all_named_and_what_needs_them_is_not_made(doctor: Callable[..., Outcome], tmp_path: Path):
    (tmp_path / "ringwarden.toml").write_text('rank = 2\nport = 99999\napi_key = "short-secret"\n')
    outcome = doctor("--json")
    found = rows(outcome)
    assert outcome.returncode == 78
    assert list(found) == ORDER
    assert found["settings"]["state"] == "failed"
    assert len(found["settings"]["evidence"]) == 3
    assert "short-secret" not in outcome.stdout
    assert found["port-api"]["diagnosis"] == "The settings have to be right first."


def test_fix_puts_right_says_so_and_has_nothing_to_do_the_second_time(doctor: Callable[..., Outcome], tmp_path: Path):
    state = StateDirectory(tmp_path / "state")
    with state.lock():
        pass
    state.path.chmod(0o755)
    state.write_daemon(DaemonRecord(1, "http://127.0.0.1:1", 1.0, "0"))
    (state.work_folder / "generation-3").mkdir(parents=True)
    before = rows(doctor("--json"))
    assert (before["state-folder"]["state"], before["leftover-files"]["state"]) == ("warning", "warning")
    assert (state.path / "daemon.json").exists()
    first = doctor("--json", "--fix")
    assert len(json.loads(first.stdout)["done"]) == 3
    after = rows(first)
    assert (after["state-folder"]["state"], after["leftover-files"]["state"]) == ("ok", "ok")
    assert json.loads(doctor("--json", "--fix").stdout)["done"] == []
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_text_keeps_to_80_columns_without_colours_in_a_pipe(doctor: Callable[..., Outcome]):
    outcome = doctor("--port=1")
    lines = outcome.stdout.splitlines()
    assert "\x1b" not in outcome.stdout
    assert [line for line in lines if len(line) > 80 and " " in line.strip()] == []
    assert lines[0].startswith("ok       python")
    assert any(line.strip().startswith("-> ") for line in lines)
    assert "failed" in lines[-1]


def test_what_others_said_is_shown_without_secrets(
    doctor: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "a-word-that-nobody-may-see")
    (tmp_path / "mlx" / "__init__.py").write_text(
        "raise ImportError('no a-word-that-nobody-may-see, api_key=0123456789abcdef')"
    )
    outcome = doctor("--json")
    assert f"no {HIDDEN}" in " ".join(rows(outcome)["mlx"]["evidence"])
    assert "a-word-that-nobody-may-see" not in outcome.stdout
    assert "0123456789abcdef" not in outcome.stdout


def test_a_flag_that_is_none_is_refused(doctor: Callable[..., Outcome]):
    outcome = doctor("--prot=1")
    assert (outcome.returncode, outcome.stdout) == (64, "")


def test_beside_a_running_daemon_its_port_and_runners_are_its_own(doctor: Callable[..., Outcome]):
    with scripted_service("--ranks=1") as daemon:
        daemon.wait_ready()
        port = daemon.url.rpartition(":")[2]
        outcome = doctor("--json", "--fix", "--ring", f"--state-dir={daemon.state_dir}", f"--port={port}")
        found = rows(outcome)
        assert found["daemon"]["state"] == "ok", found["daemon"]
        assert "own daemon" in found["port-api"]["evidence"][0]
        assert "in this folder's record" not in " ".join(found["stray-runners"]["evidence"])
        assert found["version"]["state"] in ("ok", "skipped")
        assert found["ring"]["state"] == "skipped"
        assert json.loads(outcome.stdout)["done"] == []
        assert daemon.wait_ready()["generation"] == 1
        ahead = read_clock(daemon.url)
        assert isinstance(ahead, float), ahead
        assert abs(ahead) < 2
