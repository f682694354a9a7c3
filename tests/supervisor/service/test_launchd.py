"""The property list, read back by plistlib, and what launchctl says, read by us."""

import plistlib

import pytest
from hypothesis import given

from supervisor.service.launchd import LABEL, log_place, observed, property_list
from supervisor.service.plan import MARKER, STOP_S
from tests.supervisor.service.plans import HARD_WORDS, WORDS, plan_of

RUNNING = """gui/501/local.ringwarden = {
\tactive count = 1
\tpath = /Library/LaunchAgents/local.ringwarden.plist
\ttype = LaunchAgent
\tstate = running

\tprogram = /opt/py
\tenvironment = {
\t\tstate = of mind
\t\tpid = 1
\t}

\truns = 3
\tpid = 4711
\timmediate reason = speculative
\tlast exit code = 75: EX_TEMPFAIL
}
"""


def test_every_key_says_what_was_planned():
    found = plistlib.loads(property_list(plan_of("up", *HARD_WORDS, folder="/srv/a b", RINGWARDEN_PORT="1")))
    assert found == {
        "Label": LABEL,
        "ProgramArguments": ["/opt/py thon/bin/python3", "up", *HARD_WORDS],
        "WorkingDirectory": "/srv/a b",
        "EnvironmentVariables": {"RINGWARDEN_PORT": "1"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ExitTimeOut": STOP_S,
        "ProcessType": "Interactive",
        "SoftResourceLimits": {"NumberOfFiles": 8192},
        "StandardOutPath": "/srv/state 1/service.log",
        "StandardErrorPath": "/srv/state 1/service.log",
    }


@given(word=WORDS, folder=WORDS, value=WORDS)
def test_any_word_comes_back_as_it_was(word: str, folder: str, value: str):
    content = property_list(plan_of(word, folder=folder, NAME=value))
    found = plistlib.loads(content)
    assert found["ProgramArguments"][1] == word
    assert (found["WorkingDirectory"], found["EnvironmentVariables"]["NAME"]) == (folder, value)
    assert MARKER.encode() in content


def test_the_log_of_an_installed_file_is_found_and_rubbish_names_none():
    assert log_place(property_list(plan_of("up"))) == "/srv/state 1/service.log"
    for rubbish in (b"", b"<plist", b"bplist00" + b"\xff" * 40, b"\x00\xff", plistlib.dumps([1])):
        assert log_place(rubbish) is None


def test_a_running_job_is_read():
    seen = observed(RUNNING)
    assert (seen.loaded, seen.state, seen.pid, seen.starts) == (True, "running", 4711, 3)
    assert (seen.last_exit_code, seen.last_signal) == (75, None)


@pytest.mark.parametrize(
    ("line", "code", "signal"),
    [
        ("last exit code = (never exited)", None, None),
        ("last exit code = 0", 0, None),
        ("last exit code = 78: EX_CONFIG", 78, None),
        ("last terminating signal = Killed: 9", None, 9),
        ("", None, None),
    ],
)
def test_how_it_ended_last(line: str, code: int | None, signal: int | None):
    seen = observed(f"x = {{\n\tstate = not running\n\t{line}\n}}\n")
    assert (seen.state, seen.pid, seen.last_exit_code, seen.last_signal) == ("not running", None, code, signal)


def test_an_answer_in_another_form_is_no_fault():
    seen = observed("nothing that we know\n\tpid = twelve\n")
    assert (seen.loaded, seen.state, seen.pid) == (True, "unknown", None)
