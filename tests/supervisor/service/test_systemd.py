"""The unit, read back by systemd itself where it is, and what systemctl says, read by us."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.core.ladder import GRACEFUL
from supervisor.exit_code import ExitCode
from supervisor.service.plan import MARKER, ServiceError, ServicePlan
from supervisor.service.systemd import UNIT, observed, unit, units_folder
from tests.supervisor.service.plans import HARD_WORDS, WORDS, plan_of

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line and not line.startswith("#"))


def unquoted(line: str) -> list[str]:
    """Words as systemd.syntax(7) reads them: quotes, backslashes, and a percent sign for two."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"(?: |$)', line)
    return [re.sub(r"\\(.)", r"\1", word).replace("%%", "%") for word in words]


def understood(told: str) -> list[str]:
    """The command that systemd says it understood; it shows words as a shell would take them."""
    line = re.search(r"^\s*Command Line: (.*)$", told, re.MULTILINE)
    assert line is not None, told
    words = re.findall(r'"((?:[^"\\]|\\.)*)"(?: |$)|([^" ][^ ]*)', line[1])
    return [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in words]


def verified(folder: Path, plan: ServicePlan, *, program: str) -> str:
    """What systemd has to say of a unit, its debug dump included; fails when it is not content."""
    runtime = folder / "runtime"
    runtime.mkdir(exist_ok=True)
    file = folder / UNIT
    command = (program, *plan.command[1:])
    file.write_text(unit(ServicePlan(command, plan.working_folder, plan.environment, plan.log_file)))
    # Without a runtime folder `--user` does not work; with debugging on, it tells what it understood.
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_LOG_LEVEL": "debug", "LC_ALL": "C.UTF-8"}
    outcome = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", str(file)],
        capture_output=True,
        timeout=60,
        env=environment,
        check=False,
    )
    text = outcome.stderr.decode() + outcome.stdout.decode()
    assert outcome.returncode == 0, text
    assert f"{file}:" not in text, "it complains about a line"
    return text


def test_the_unit_starts_again_what_can_be_helped_and_nothing_else():
    found = fields(unit(plan_of("up")))
    assert found["Restart"] == "on-failure"
    final = found["RestartPreventExitStatus"].split()
    assert {str(int(code)) for code in (ExitCode.USAGE, ExitCode.CONFIG)} <= set(final)
    assert not {str(int(code)) for code in (ExitCode.TEMPORARY, ExitCode.UNAVAILABLE, ExitCode.SOFTWARE)} & set(final)
    assert (found["Type"], found["KillMode"], found["OOMPolicy"]) == ("exec", "mixed", "continue")
    assert int(found["TimeoutStopSec"]) > sum(step.grace_s for step in GRACEFUL)
    assert int(found["LimitNOFILE"]) >= 4096
    assert MARKER in unit(plan_of("up"))


def test_a_node_that_never_finds_its_head_is_not_given_up_but_a_crash_at_once_is():
    found = fields(unit(plan_of("join")))
    period, starts, pause = (int(found[key]) for key in ("StartLimitIntervalSec", "StartLimitBurst", "RestartSec"))
    look_for_head_s = 10
    assert period / (look_for_head_s + pause) < starts
    assert period / (1 + pause) > starts


@given(words=st.lists(WORDS, max_size=6), value=WORDS)
def test_any_word_comes_back_as_it_was(words: list[str], value: str):
    found = fields(unit(plan_of(*words, NAME=value)))
    assert found["ExecStart"].startswith(':"')
    assert unquoted(found["ExecStart"][1:]) == ["/opt/py thon/bin/python3", *words]
    assert unquoted(found["Environment"]) == [f"NAME={value}"]


@needs_systemd
@given(words=st.lists(WORDS, min_size=1, max_size=6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_systemd_reads_any_words_as_they_were(tmp_path: Path, words: list[str]):
    folder = tmp_path / "100% of $HOME"
    folder.mkdir(exist_ok=True)
    program = tmp_path / "py %h $x"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    told = verified(tmp_path, plan_of(*words, folder=str(folder)), program=str(program))
    assert understood(told) == [str(program), *words]
    assert f"WorkingDirectory: {folder}\n" in told


@needs_systemd
def test_systemd_reads_hard_words_and_variables_as_they_were(tmp_path: Path):
    told = verified(tmp_path, plan_of(*HARD_WORDS, folder=str(tmp_path), A='x "y" %h $z \\'), program="/bin/sh")
    assert understood(told) == ["/bin/sh", *HARD_WORDS]
    assert 'Environment: A=x "y" %h $z \\\n' in told


@pytest.mark.parametrize("folder", ["/srv/a ", "/srv/a\\"])
def test_a_folder_that_systemd_cannot_name_is_refused(folder: str):
    with pytest.raises(ServiceError) as caught:
        unit(plan_of("up", folder=folder))
    assert caught.value.exit_code == ExitCode.USAGE
    assert repr(folder) in str(caught.value)


def test_units_are_where_systemd_looks(tmp_path: Path):
    assert units_folder(tmp_path, None) == tmp_path / ".config/systemd/user"
    assert units_folder(tmp_path, "relative") == tmp_path / ".config/systemd/user"
    assert units_folder(tmp_path, "/etc/mine") == Path("/etc/mine/systemd/user")


@pytest.mark.parametrize(
    ("shown", "state", "pid", "code", "signal"),
    [
        ("active/running/12/0/0", "active (running)", 12, None, None),
        ("failed/failed/0/1/78", "failed (failed)", None, 78, None),
        ("failed/failed/0/2/9", "failed (failed)", None, None, 9),
        ("failed/failed/0/3/6", "failed (failed)", None, None, 6),
        ("activating/auto-restart/0/1/75", "activating (auto-restart)", None, 75, None),
        ("active/running/many/1/none", "active (running)", None, None, None),
    ],
)
def test_what_systemctl_shows_is_read(shown: str, state: str, pid: int | None, code: int | None, signal: int | None):
    names = ("ActiveState", "SubState", "MainPID", "ExecMainCode", "ExecMainStatus")
    lines = [f"{name}={value}\n" for name, value in zip(names, shown.split("/"), strict=True)]
    seen = observed(f"LoadState=loaded\nNRestarts=2\n{''.join(lines)}")
    assert (seen.loaded, seen.state, seen.pid) == (True, state, pid)
    assert (seen.last_exit_code, seen.last_signal, seen.starts) == (code, signal, 3)


def test_a_unit_that_is_not_there_is_not_loaded():
    seen = observed("LoadState=not-found\nActiveState=inactive\nSubState=dead\nNRestarts=0\n")
    assert (seen.loaded, seen.pid, seen.starts) == (False, None, None)
