"""`ringwarden diagnose` as a person or a script meets it: a real process, real files, real exit codes."""

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diagnostics.cause import Cause
from supervisor.cli.cause_pages import cause_page

ROOT = Path(__file__).parents[2]
OUT_OF_MEMORY = (
    "loading\nlibc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command buffer "
    "execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)\n"
)
LOST = "ready\n" + "[ring] Socket 3 was closed by the peer\n" * 10
ROOT_KEYS = ["kind", "line", "text", "message", "advice", "retryable"]


def diagnose(*arguments: str | Path, log: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    outcome = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "diagnose", *arguments],
        input=log, capture_output=True, timeout=100, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )  # fmt: skip
    return subprocess.CompletedProcess(
        outcome.args, outcome.returncode, outcome.stdout.decode(), outcome.stderr.decode()
    )


def documents(outcome: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "oom.log").write_text(OUT_OF_MEMORY)
    (tmp_path / "lost.log").write_text(LOST)
    (tmp_path / "quiet.log").write_text("step 1\nstep 2\n")
    (tmp_path / "empty.log").write_text("")
    return tmp_path


def test_the_document_has_exactly_the_keys_of_the_contract(logs: Path) -> None:
    outcome = diagnose("--json", logs / "oom.log")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    (told,) = documents(outcome)
    assert list(told) == ["root_cause", "diagnostics", "unclassified_lines"]
    assert list(told["root_cause"]) == ROOT_KEYS
    assert told["root_cause"]["kind"] == "metal_out_of_memory"
    assert told["root_cause"]["line"] == 1
    assert told["root_cause"]["text"] == OUT_OF_MEMORY.splitlines()[1]
    assert [list(one) for one in told["diagnostics"]] == [["kind", "line", "count", "message", "evidence"]]
    assert told["unclassified_lines"] == 1


def test_several_inputs_give_a_line_each_in_their_order(logs: Path) -> None:
    names = ["quiet.log", "oom.log", "-", "lost.log"]
    outcome = diagnose("--json", *names, log=b"Fatal Python error: Segmentation fault\n", cwd=logs)
    told = documents(outcome)
    assert outcome.returncode == 0
    assert [next(iter(one)) for one in told] == ["file"] * 4
    assert [one["file"] for one in told] == names
    kinds = [None if one["root_cause"] is None else one["root_cause"]["kind"] for one in told]
    assert kinds == [None, "metal_out_of_memory", "segfault", "ring_peer_closed"]


@pytest.mark.parametrize(("status", "kind"), [
    ("-9", "killed_no_stderr"), ("137", "killed_no_stderr"), ("-11", "segfault"), ("134", "abort_other"),
    ("-10", "bus_error"), ("135", "bus_error"), ("0", None), ("1", None), ("255", None),
])  # fmt: skip
def test_the_exit_status_alone_can_tell(status: str, kind: str | None) -> None:
    outcome = diagnose("--json", "--exit-status", status)
    (told,) = documents(outcome)
    assert outcome.returncode == (1 if kind is None else 0)
    if kind is None:
        assert told["root_cause"] is None
    else:
        assert (told["root_cause"]["kind"], told["root_cause"]["line"], told["root_cause"]["text"]) == (
            kind,
            None,
            None,
        )


def test_a_log_is_read_for_the_system_that_it_tells_or_that_is_given() -> None:
    unmarked = documents(diagnose("--json", "--exit-status", "-10"))
    of_linux = documents(diagnose("--json", "--exit-status", "-10", log=b"/lib/x86_64-linux-gnu/libm.so.6\n"))
    given = documents(diagnose("--json", "--exit-status", "-10", "--os", "linux"))
    kinds = [one[0]["root_cause"] and one[0]["root_cause"]["kind"] for one in (unmarked, of_linux, given)]
    assert kinds == ["bus_error", None, None]


@pytest.mark.parametrize("log", [
    b"", b"\n\n\n", b"\x00\xff\xfe" * 5000, b"x" * 3_000_000, bytes(range(256)) * 40,
    b"step 1\r\nstep 2\r\n", b"\r" * 999,
])  # fmt: skip
def test_junk_has_no_cause_and_does_no_harm(log: bytes) -> None:
    outcome = diagnose("--json", log=log)
    assert (outcome.returncode, outcome.stderr) == (1, "")
    assert documents(outcome)[0]["root_cause"] is None


def test_line_numbers_are_right_with_crlf_nul_and_invalid_utf_8() -> None:
    (told,) = documents(diagnose("--json", log=b"a\r\n\r\n\x00\xff\r\n" + OUT_OF_MEMORY.replace("\n", "\r\n").encode()))
    assert told["root_cause"]["line"] == 4


def test_what_cannot_be_read_is_named_and_the_others_are_examined(logs: Path) -> None:
    (logs / "log.gz").write_bytes(gzip.compress(OUT_OF_MEMORY.encode()))
    outcome = diagnose("--json", "none.log", "oom.log", ".", "log.gz", cwd=logs)
    assert outcome.returncode == 65
    assert [one["file"] for one in documents(outcome)] == ["oom.log"]
    assert [line.split()[1] for line in outcome.stderr.splitlines()] == ["none.log", ".", "log.gz"]
    assert "gunzip -c log.gz | ringwarden diagnose -" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--exit-status", "300"], "300"),
        (["--exit-status", "-99"], "-99"),
        (["--exit-status", "soon"], "--exit-status"),
        (["--os", "windows"], "windows"),
        (["-", "-"], "more than once"),
        (["--group"], "at least one rank"),
        (["--group", "oom.log"], "RANK=FILE"),
        (["--group", "x=oom.log"], "'x'"),
        (["--group", "-1=oom.log"], "-1"),
        (["--group", "1025=oom.log"], "1025"),
        (["--group", "0="], "0="),
        (["--group", "0=oom.log", "0=lost.log"], "rank 0 is given twice"),
        (["--group", "0=-", "1=-"], "standard input"),
        (["--group", "0=oom.log:999"], "999"),
        (["--group", "--exit-status", "1", "0=oom.log"], "--exit-status"),
    ],
)
def test_wrong_usage_exits_64(arguments: list[str], word: str, logs: Path) -> None:
    outcome = diagnose(*arguments, cwd=logs)
    assert (outcome.returncode, outcome.stdout) == (64, "")
    assert outcome.stderr.count("\n") == 1
    assert word in outcome.stderr


def test_a_terminal_without_a_log_is_told_what_to_do() -> None:
    controller, terminal = pty.openpty()
    try:
        outcome = subprocess.run(
            [sys.executable, "-m", "supervisor.cli", "diagnose"],
            stdin=terminal, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
    finally:
        os.close(controller)
        os.close(terminal)
    assert outcome.returncode == 64
    assert "| ringwarden diagnose" in outcome.stderr


def test_the_group_has_a_verdict_and_each_rank_its_own(logs: Path) -> None:
    outcome = diagnose("--group", "--json", "1=quiet.log:-9", "0=lost.log:1", cwd=logs)
    (told,) = documents(outcome)
    assert outcome.returncode == 0
    assert list(told) == ["verdict", "ranks"]
    assert list(told["verdict"]) == ["kind", "rank", "confidence", "sentence", "suspects"]
    assert (told["verdict"]["kind"], told["verdict"]["rank"]) == ("killed_no_stderr", 1)
    assert list(told["ranks"]) == ["0", "1"]
    assert list(told["ranks"]["1"]) == ["root_cause", "diagnostics", "unclassified_lines"]
    assert told["ranks"]["0"]["root_cause"]["kind"] == "ring_peer_closed"
    assert told["ranks"]["1"]["root_cause"]["kind"] == "killed_no_stderr"


def test_a_rank_that_left_early_is_named(logs: Path) -> None:
    (told,) = documents(diagnose("--group", "--json", "0=lost.log:1", "1=empty.log:0", cwd=logs))
    assert (told["verdict"]["kind"], told["verdict"]["rank"]) == ("exited_early", 1)
    assert told["ranks"]["1"]["root_cause"]["kind"] == "exited_early"


def test_file_names_may_hold_colons_and_equal_signs(logs: Path) -> None:
    (logs / "a=b:3").write_text(OUT_OF_MEMORY)
    for word in ("0=a=b:3", "0=a=b:3:-6", "0=a=b:3:alive"):
        outcome = diagnose("--group", "--json", word, cwd=logs)
        assert outcome.returncode == 0, outcome.stderr
        assert documents(outcome)[0]["ranks"]["0"]["root_cause"]["kind"] == "metal_out_of_memory"


def test_half_a_group_gets_no_verdict(logs: Path) -> None:
    outcome = diagnose("--group", "--json", "0=lost.log", "1=none.log:-9", cwd=logs)
    assert (outcome.returncode, outcome.stdout) == (65, "")
    assert "none.log" in outcome.stderr


def test_a_person_gets_the_sentence_the_advice_and_the_marked_line(logs: Path) -> None:
    told = diagnose("oom.log", cwd=logs).stdout
    assert told.startswith("The process ")
    assert "metal_out_of_memory (Out of GPU memory), certain" in told
    assert "Use a smaller" in told
    assert "line 2 (counted from 1, as editors do)" in told
    assert ">  2  libc++abi" in told or "> 2  libc++abi" in told
    assert "docs/causes/metal.md#metal_out_of_memory" in told
    several = diagnose("quiet.log", "oom.log", cwd=logs).stdout.splitlines()
    assert several[0] == "quiet.log"
    assert several[1] == "No cause was found in 2 lines."
    assert "oom.log" in several


def test_a_person_gets_the_verdict_first_and_a_line_for_each_rank(logs: Path) -> None:
    told = diagnose("--group", "0=lost.log:1", "1=empty.log:-9", cwd=logs).stdout.splitlines()
    assert told[0].startswith("Rank 1 was killed by SIGKILL")
    ranks = [line for line in told if "exit code 1" in line or "signal 9" in line]
    assert [line.startswith("ranks") for line in ranks] == [True, False]
    assert "the cause" in ranks[1]


def test_a_hostile_log_steers_no_terminal() -> None:
    hostile = (
        b"\x1b]0;owned\x07\x1b[2J[red]bold[/red]\x9b31m\n[METAL] \xc2\x9b2J Insufficient Memory \x1b[2J [/] :boom:\n"
    )
    hostile += OUT_OF_MEMORY.encode()
    for arguments in ([], ["--json"]):
        told = diagnose(*arguments, log=hostile).stdout
        assert told
        assert not any((ord(letter) < 32 and letter != "\n") or 0x7F <= ord(letter) < 0xA0 for letter in told)
    assert "[red]bold[/red]" in diagnose(log=hostile).stdout


@pytest.mark.soak
def test_a_large_log_is_read_in_bounded_memory(tmp_path: Path) -> None:
    log = tmp_path / "large.log"
    line = b"2026-11-20 14:03:22 INFO step done and nothing else to say about it here\n"
    chunk = b"".join(b"[rank%d]: " % (number % 2) + line for number in range(8000))
    with log.open("wb") as file:
        written = 0
        while written < 100_000_000:
            written += file.write(line * 8000 if written > 3_000_000 else chunk)
        file.write(b"[rank1]: ValueError: boom\n")
    script = (
        "import sys; sys.argv = ['ringwarden', 'diagnose', '--json', sys.argv[1]]\n"
        "from supervisor.cli.main import main\ncode = main()\n"
        "from tests.supervisor.peak_memory import peak_mib\nprint(peak_mib(), file=sys.stderr)\nsys.exit(code)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script, str(log)], capture_output=True, text=True, timeout=110, check=False, cwd=ROOT
    )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["root_cause"]["text"] == "[rank1]: ValueError: boom"
    assert float(outcome.stderr) < 150


def test_a_reader_that_goes_away_is_no_error(logs: Path) -> None:
    command = (
        f'"{sys.executable}" -m supervisor.cli diagnose --json {logs / "oom.log"} | true; echo "${{PIPESTATUS[0]}}"'
    )
    outcome = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (outcome.stdout, outcome.stderr) == ("0\n", "")


@pytest.mark.parametrize("cause", list(Cause))
def test_the_page_to_read_is_the_one_that_the_documentation_lists(cause: Cause) -> None:
    page = cause_page(cause).removeprefix("docs/causes/")
    assert f"[`{cause}`]({page})" in (ROOT / "docs" / "causes" / "README.md").read_text()
