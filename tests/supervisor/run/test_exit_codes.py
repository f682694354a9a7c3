"""What `ringwarden run` exits with, and what it says last."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor.run.program import command, environment, events, python, run

KILLS_RANK_1 = """
import os, signal, time
if os.environ["MLX_RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


@pytest.mark.parametrize("ranks", ["1", "3"])
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 15)", 143),
        ("import os; os.abort()", 134),
    ],
)
def test_the_exit_code_is_the_programs(tmp_path: Path, ranks: str, program: str, code: int) -> None:
    outcome = run(tmp_path, "-n", ranks, *python(program))
    assert outcome.returncode == code, outcome.stderr
    assert (outcome.stderr == "") == (code == 0)


def test_one_rank_that_was_killed_ends_all_and_is_named(tmp_path: Path) -> None:
    outcome = run(tmp_path, "-n", "3", *python(KILLS_RANK_1))
    assert outcome.returncode == 137
    assert outcome.stderr.startswith("ringwarden: Rank 1 was killed by SIGKILL")
    for words in ("killed_no_stderr", "what to do", str(tmp_path), "ringwarden why inc-"):
        assert words in outcome.stderr


def test_the_cause_outranks_what_it_made_of_the_others(tmp_path: Path) -> None:
    program = """
import os, sys, time
if os.environ["MLX_RANK"] == "2":
    time.sleep(0.1)
    raise ValueError("a loss of nan")
print("[ring] Socket 5 was closed by the peer", file=sys.stderr)
sys.exit("RuntimeError: [ring] connection to a peer was lost")
"""
    outcome = run(tmp_path, "-n", "3", *python(program))
    last = outcome.stderr.splitlines()
    sentence = next(line for line in last if line.startswith("ringwarden: "))
    assert "Rank 2" in sentence
    assert "a loss of nan" in "".join(last[last.index(sentence) :])
    assert outcome.returncode == 1


def test_sys_exit_of_one_rank(tmp_path: Path) -> None:
    program = "import os, sys, time; sys.exit(3) if os.environ['MLX_RANK'] == '0' else time.sleep(600)"
    outcome = run(tmp_path, "-n", "3", *python(program))
    assert outcome.returncode == 3
    assert outcome.stderr.startswith("ringwarden: Rank 0 exited with code 3")


def test_a_rank_may_end_well_before_the_others(tmp_path: Path) -> None:
    program = "import os, time; time.sleep(1.5 * int(os.environ['MLX_RANK'])); print('done')"
    outcome = run(tmp_path, "-n", "2", *python(program))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert sorted(outcome.stdout.splitlines()) == ["[0] done", "[1] done"]


def test_a_rank_that_left_is_not_blamed_for_the_trouble_of_another(tmp_path: Path) -> None:
    program = "import os, time; time.sleep(int(os.environ['MLX_RANK'])) or os.environ['MLX_RANK'] == '0' or exit(4)"
    outcome = run(tmp_path, "-n", "2", *python(program))
    assert outcome.returncode == 4
    assert outcome.stderr.startswith("ringwarden: Rank 1 exited with code 4")


def test_a_rank_that_left_is_blamed_when_others_only_miss_it(tmp_path: Path) -> None:
    program = """
import os, sys, time
if os.environ["MLX_RANK"] == "0":
    sys.exit(0)
time.sleep(0.5)
print("[ring] Socket 5 was closed by the peer", file=sys.stderr)
raise RuntimeError("[ring] connection to a peer was lost")
"""
    outcome = run(tmp_path, "-n", "2", "--json", *python(program))
    verdict = next(event for event in events(outcome.stdout) if event["event"] == "verdict")
    assert (verdict["rank"], verdict["cause"]) == (0, "exited_early")
    assert outcome.returncode == 1, "the code of the rank that failed: 0 would say that all is well"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    outcome = run(tmp_path, "-n", "2", "--", "no-such-program", "--flag")
    assert outcome.returncode == 127
    assert outcome.stderr.startswith("ringwarden: no-such-program: command not found.")


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("#!/bin/sh\n", 0o600, "may not be executed"),
        ("\x7fELF nonsense", 0o700, "no program for this system"),
        ("#!/no/such/interpreter\n", 0o700, "interpreter"),
    ],
)
def test_a_program_that_cannot_be_executed(tmp_path: Path, text: str, mode: int, words: str) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    outcome = run(tmp_path, "--", str(program))
    assert outcome.returncode == 126, outcome.stderr
    assert words in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-n", "0", "--", "true"], 64, "-n"),
        (["--tag", "novalue", "--", "true"], 64, "NAME=VALUE"),
        (["--tag", "Bad Name=x", "--", "true"], 64, "Bad Name"),
        (["--tag", "a=1", "--tag", "a=2", "--", "true"], 64, "given twice"),
        (["--", "/tmp"], 126, "is a folder"),
        (["--restart", "sometimes", "--", "true"], 64, "sometimes"),
        (["--hostfile", "/no/such/file", "--", "true"], 65, "cannot be read"),
        ([], 64, "COMMAND"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    outcome = run(tmp_path, *arguments)
    assert outcome.returncode == code
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_flags_after_the_program_are_the_programs(tmp_path: Path) -> None:
    outcome = run(tmp_path, sys.executable, "-c", "import sys; print(sys.argv[1:])", "-n", "3", "--json", "--", "x")
    assert outcome.stdout == "['-n', '3', '--json', '--', 'x']\n"


def test_a_remote_host_is_refused_with_a_word_about_join(tmp_path: Path) -> None:
    hostfile = tmp_path / "hosts.json"
    hostfile.write_text('[["127.0.0.1:5000"], ["192.0.2.7:5000"]]')
    outcome = run(tmp_path, "--hostfile", str(hostfile), "--", "true")
    assert outcome.returncode == 69
    assert "192.0.2.7" in outcome.stderr
    assert "ringwarden join" in outcome.stderr


def test_the_signal_of_the_root_cause_decides_not_that_of_the_released(tmp_path: Path) -> None:
    program = (
        "import os, signal, time; os.environ['MLX_RANK'] == '1' and os.kill(os.getpid(), signal.SIGUSR2);"
        "time.sleep(600)"
    )
    assert run(tmp_path, "-n", "2", *python(program)).returncode == 128 + signal.SIGUSR2


def test_closed_streams_do_no_harm(tmp_path: Path) -> None:
    line = shlex.join(command(tmp_path, *python("print('into nothing'); raise SystemExit(5)")))
    assert (
        subprocess.run(["/bin/sh", "-c", f"{line} <&- >&- 2>&-"], env=environment(), timeout=60, check=False).returncode
        == 5
    )


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run(tmp_path / "file", "--", "true")
    assert outcome.returncode == 78
    assert "--state-dir" in outcome.stderr
    outcome = run(tmp_path, "--log-dir", str(tmp_path / "file" / "logs"), "--", "true")
    assert outcome.returncode == 64
    assert "--log-dir" in outcome.stderr
