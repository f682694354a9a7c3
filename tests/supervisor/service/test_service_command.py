"""`ringwarden service` on both systems: what is written, what the system's tools are told, what a person is told."""

import os
import plistlib
import re
import subprocess
from pathlib import Path

import pytest

from supervisor.cluster.key_store import KeyStore
from supervisor.exit_code import ExitCode
from supervisor.service.plan import MARKER, ServiceError
from supervisor.service.service_manager import manager_for
from supervisor.state_directory import StateDirectory
from tests.supervisor.service.conftest import Machine

A_KEY = "a-key-of-more-than-sixteen-characters"
ROUTE = f"gui/{os.getuid()}"


def test_install_status_uninstall(machine: Machine):
    before = machine.told("service", "status", exit_code=69)
    assert (before["installed"], before["running"], before["since"]) == (False, False, None)
    machine.tools.calls()

    installed = machine.told("service", "install", "--port", "1234")
    assert installed["file"] == str(machine.file)
    assert installed["started"]
    assert installed["command"][-2:] == ["up", "--port=1234"]
    assert MARKER in machine.file.read_text()
    assert started_by(machine) in machine.tools.calls()

    status = machine.told("service", "status")
    assert (status["installed"], status["running"], status["pid"], status["starts"]) == (True, True, os.getpid(), 2)
    assert status["since"] < 2**32
    assert status["logs"] in {str(machine.state / "service.log"), "journalctl --user -u ringwarden.service"}
    assert status["logs"] == installed["logs"]
    machine.tools.calls()

    assert machine.told("service", "uninstall")["removed"]
    assert stopped_by(machine) in machine.tools.calls()
    assert not machine.file.exists()
    assert machine.told("service", "uninstall")["removed"] is False
    assert machine.told("service", "status", exit_code=69)["installed"] is False


def started_by(machine: Machine) -> str:
    if machine.system == "darwin":
        return f"launchctl bootstrap {ROUTE} {machine.file}"
    return "systemctl --user --no-pager enable --now ringwarden.service"


def stopped_by(machine: Machine) -> str:
    if machine.system == "darwin":
        return f"launchctl bootout {ROUTE}/local.ringwarden"
    return "systemctl --user --no-pager disable --now ringwarden.service"


def test_a_second_install_ends_the_first_and_waits_until_it_is_gone(machine: Machine):
    machine.told("service", "install")
    machine.tools.calls()
    machine.told("service", "install", "--port", "4321")
    calls = machine.tools.calls()
    assert calls.index(stopped_by(machine)) < calls.index(started_by(machine))
    assert "--port=4321" in machine.file.read_text()


def test_a_service_whose_file_is_gone_is_stopped_all_the_same(machine: Machine):
    machine.told("service", "install")
    machine.file.unlink()
    removed = machine.told("service", "uninstall")
    assert (removed["removed"], removed["stopped"]) == (False, True)
    assert stopped_by(machine) in machine.tools.calls()
    assert machine.told("service", "uninstall")["stopped"] is False


def test_people_are_told_in_words(machine: Machine):
    installed = machine.ringwarden("service", "install", HTTPS_PROXY="http://ann:secret@proxy:80", HF_TOKEN="x" * 20)
    assert installed.returncode == 0, installed
    assert f"Wrote {machine.file} and started the service.\n" in installed.stdout
    assert "note  HTTPS_PROXY looks like a secret" in installed.stdout
    assert "secret@" not in machine.file.read_text() + installed.stdout
    assert "HF_TOKEN" not in machine.file.read_text()
    status = machine.ringwarden("service", "status")
    assert re.search(rf"running    yes, pid {os.getpid()} since \d{{4}}-", status.stdout), status
    assert ("last exit  code 75\n" in status.stdout) == (machine.system == "darwin")
    removed = machine.ringwarden("service", "uninstall")
    assert removed.stdout == f"Removed {machine.file}; stopped the service.\n"


def test_print_writes_nothing_and_asks_nobody(machine: Machine):
    outcome = machine.ringwarden("service", "install", "--print", "--model", "a b", PATH="/nowhere")
    assert outcome.returncode == 0, outcome
    assert MARKER in outcome.stdout
    assert not machine.file.parent.exists()
    assert not machine.state.exists()
    document = machine.told("service", "install", "--print", "--model", "a b")
    assert document["content"] == outcome.stdout
    assert machine.tools.calls() == []


def test_no_start_writes_only_and_no_stop_removes_only(machine: Machine):
    installed = machine.told("service", "install", "--no-start")
    assert (installed["started"], machine.file.is_file()) == (False, True)
    assert machine.told("service", "uninstall", "--no-stop")["removed"]
    assert not machine.file.exists()
    assert machine.tools.calls() == []


def test_the_written_command_starts_this_ringwarden_from_anywhere(linux: Machine, tmp_path: Path):
    (tmp_path / "supervisor").mkdir()
    installed = linux.told("service", "install", "--no-start")
    command = [*installed["command"], "--help"]
    outcome = subprocess.run(
        command, cwd=tmp_path, env=installed["environment"], capture_output=True, text=True, timeout=60, check=False
    )
    assert outcome.returncode == 0, outcome
    assert "--bus-host" in outcome.stdout


def test_the_settings_file_of_this_folder_is_named_and_variables_go_along(linux: Machine):
    (linux.here / "ringwarden.toml").write_text("ranks = 1\n")
    installed = linux.told("service", "install", "--no-start", RINGWARDEN_PORT="1234", MLX_RANK="1")
    assert installed["command"][-1] == f"--config={linux.here}/ringwarden.toml"
    carried = {name: value for name, value in installed["environment"].items() if name != "PYTHONPATH"}
    assert carried == {"RINGWARDEN_PORT": "1234", "RINGWARDEN_STATE_DIR": str(linux.state)}
    assert f"WorkingDirectory={linux.here}\n" in linux.file.read_text()


def test_a_node_joins_its_head_and_only_one_that_it_trusts(machine: Machine, tmp_path: Path):
    told = machine.refused(78, "service", "install", "--node", "mini.local")
    assert "ringwarden keys" in told
    assert not machine.file.exists()
    KeyStore(machine.state).accept("head", KeyStore(tmp_path / "head").own().public)
    installed = machine.told("service", "install", "--node", "mini.local:1", "--node-address", "10.0.0.2")
    assert installed["command"][-4:] == ["join", "--node-address=10.0.0.2", "--", "mini.local:1"]
    assert machine.told("service", "install", "--node", "auto")["command"][-1] == "join"


@pytest.mark.parametrize(
    ("exit_code", "arguments", "words"),
    [
        (64, ["--nonsense"], ["--nonsense"]),
        (64, ["--port", "99999"], ["--port", "65535"]),
        (64, ["--host", "0.0.0.0"], ["API key", "--insecure"]),
        (64, ["--model", "two\nlines"], ["two\\nlines", "printable"]),
        (64, ["--node", "mini.local:0"], ["no address"]),
        (64, ["--node", "one", "two"], ["twice"]),
        (64, ["--node", "one", "--port", "1"], ["--port"]),
        (78, ["--config", "absent.toml"], ["absent.toml", "cannot be read"]),
    ],
)
def test_what_could_never_start_is_refused_before_anything_is_written(
    linux: Machine, exit_code: int, arguments: list[str], words: list[str]
):
    told = linux.refused(exit_code, "service", "install", *arguments)
    assert all(word in told for word in words), told
    assert not linux.file.exists()
    assert linux.tools.calls() == []


def test_a_key_in_a_variable_is_refused_and_one_in_a_file_is_named(linux: Machine):
    told = linux.refused(78, "service", "install", "--no-start", RINGWARDEN_API_KEY=A_KEY)
    assert "--api-key-file" in told
    assert A_KEY not in told
    (linux.here / "key").write_text(A_KEY)
    linux.told("service", "install", "--no-start", "--api-key-file", "key", RINGWARDEN_API_KEY=A_KEY)
    linux.told("service", "install", "--no-start", RINGWARDEN_API_KEY_FILE="key")
    assert "RINGWARDEN_API_KEY_FILE=key" in linux.file.read_text()
    assert A_KEY not in linux.file.read_text()


def test_a_foreign_file_stays_unless_forced(machine: Machine):
    machine.file.parent.mkdir(parents=True)
    machine.file.write_text("somebody else's")
    for words in (["install"], ["install", "--no-start"], ["uninstall"]):
        assert "was not written by" in machine.refused(78, "service", *words)
        assert machine.file.read_text() == "somebody else's"
    assert "was not written by" in machine.told("service", "status", exit_code=69)["problem"]
    machine.told("service", "install", "--force")
    assert MARKER in machine.file.read_text()


def test_a_link_is_foreign_and_what_it_leads_to_is_never_written(linux: Machine):
    kept = linux.home / "kept"
    kept.write_text(MARKER)
    linux.file.parent.mkdir(parents=True)
    linux.file.symlink_to(kept)
    assert "was not written by" in linux.refused(78, "service", "install", "--no-start")
    linux.told("service", "install", "--no-start", "--force")
    assert (kept.read_text(), linux.file.is_symlink()) == (MARKER, False)


def test_a_missing_or_silent_manager_is_named_and_nothing_is_written(machine: Machine):
    name = "launchctl" if machine.system == "darwin" else "systemctl"
    assert f"there is no {name} here" in machine.refused(69, "service", "install", PATH="/nowhere")
    machine.tools.be("unreachable")
    told = machine.refused(69, "service", "install")
    assert "--no-start" in told
    assert ("Could not find domain" in told) == (machine.system == "darwin")
    assert not machine.file.exists()


def test_a_start_that_fails_says_what_the_system_said_and_what_is_written(machine: Machine):
    machine.tools.be("refuses")
    told = machine.refused(69, "service", "install")
    assert f"{machine.file} is written, but the service did not start" in told
    assert ("Input/output error" in told) == (machine.system == "darwin")
    assert machine.file.is_file()


def test_a_state_folder_in_use_is_said_before_anything_is_written(linux: Machine):
    with StateDirectory(linux.state).lock():
        assert f"pid {os.getpid()}" in linux.refused(69, "service", "install")
    assert not linux.file.exists()


def test_what_launchd_wants_is_there(mac: Machine):
    mac.told("service", "install")
    found = plistlib.loads(mac.file.read_bytes())
    assert found["WorkingDirectory"] == str(mac.here)
    assert Path(found["StandardErrorPath"]).parent.is_dir()
    assert mac.file.stat().st_mode & 0o022 == 0


def test_other_systems_and_sudo_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for system in ("win32", "freebsd14"):
        with pytest.raises(ServiceError) as caught:
            manager_for(system, {}, tmp_path)
        assert caught.value.exit_code == ExitCode.UNAVAILABLE
        assert system in str(caught.value)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ServiceError) as caught:
        manager_for("linux", {"SUDO_USER": "ann"}, tmp_path)
    assert "without sudo" in caught.value.remedy
