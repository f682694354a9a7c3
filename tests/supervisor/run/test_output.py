"""What the ranks print, on its way to us: whole lines, nothing lost, nobody blocked."""

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.supervisor.conftest import wait_until
from tests.supervisor.run.program import descendants, end, environment, events, python, read_lines, run, started

MANY = """
import os, sys
for number in range(10_000):
    stream = sys.stdout if number % 2 else sys.stderr
    stream.write(f"line {number} " + "x" * (number % 97) + "\\n")
    stream.flush()
"""


def test_the_output_of_one_rank_passes_unchanged(tmp_path: Path) -> None:
    program = "import sys; sys.stdout.write('a\\r\\n\\n50%\\r100%'); sys.stderr.buffer.write(b'\\xff\\x00 err')"
    outcome = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "run", f"--state-dir={tmp_path}", *python(program)],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert (outcome.stdout, outcome.stderr) == (b"a\r\n\n50%\r100%", b"\xff\x00 err")


def test_two_ranks_never_mix_lines(tmp_path: Path) -> None:
    # Both streams into one pipe: the hardest case.
    with started(tmp_path, ["-n", "2", *python(MANY)], stderr=subprocess.STDOUT) as process:
        code, text, _ = end(process)
    assert code == 0
    lines = text.splitlines()
    whole = re.compile(r"\[([01])\] line (\d+) (x*)")
    found = [whole.fullmatch(line) for line in lines]
    assert all(found), next(line for line, match in zip(lines, found, strict=True) if match is None)
    for rank in "01":
        numbers = [int(match[2]) for match in found if match and match[1] == rank]
        assert sorted(numbers) == list(range(10_000))
        assert [number for number in numbers if number % 2] == list(range(1, 10_000, 2)), "in order in each stream"
    assert all(match and len(match[3]) == int(match[2]) % 97 for match in found)


def test_streams_stay_apart(tmp_path: Path) -> None:
    outcome = run(tmp_path, "-n", "2", *python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert sorted(outcome.stdout.splitlines()) == ["[0] out", "[1] out"]
    assert sorted(outcome.stderr.splitlines()) == ["[0] err", "[1] err"]


def test_an_unfinished_line_is_shown_soon_and_not_mixed(tmp_path: Path) -> None:
    program = "import time; print('thinking', end='', flush=True); time.sleep(600)"
    with started(tmp_path, ["-n", "2", *python(program)]) as process:
        assert sorted(read_lines(process, 2)) == ["[0] thinking", "[1] thinking"]


def test_json_has_one_object_for_each_line_and_event(tmp_path: Path) -> None:
    program = (
        "import os, sys; print('a \\x1b[31mb'); sys.stderr.write('last words'); sys.exit(int(os.environ['MLX_RANK']))"
    )
    outcome = run(tmp_path, "-n", "2", "--json", *python(program))
    found = events(outcome.stdout)
    kinds = [event["event"] for event in found]
    assert kinds[:2] == ["start", "start"]
    assert kinds[-2:] == ["verdict", "end"]
    assert all(isinstance(event["time"], float) for event in found)
    outputs = {(event["rank"], event["stream"], event["line"]) for event in found if event["event"] == "output"}
    assert outputs == {
        (rank, stream, line)
        for rank in (0, 1)
        for stream, line in (("stdout", "a \x1b[31mb"), ("stderr", "last words"))
    }
    assert {(event["rank"], event["exit_code"]) for event in found if event["event"] == "exit"} == {(0, 0), (1, 1)}
    assert found[-1]["exit_code"] == outcome.returncode == 1
    assert (found[-2]["rank"], found[-2]["exit_code"]) == (1, 1)


def test_much_without_a_newline(tmp_path: Path) -> None:
    started_at = time.monotonic()
    outcome = run(tmp_path, "-n", "2", *python("import os; [os.write(1, b'x' * 20480) for _ in range(10)]"))
    assert time.monotonic() - started_at < 20
    letters = "".join(line.partition("] ")[2] for line in outcome.stdout.splitlines())
    assert len(letters) == 2 * 204_800


def test_a_grandchild_that_holds_the_pipes_delays_nothing(tmp_path: Path) -> None:
    program = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.exit(5)"
    started_at = time.monotonic()
    outcome = run(tmp_path, *python(program))
    assert outcome.returncode == 5
    assert time.monotonic() - started_at < 20
    wait_until(lambda: not psutil.pid_exists(int(outcome.stdout)), "the grandchild was ended, too")


def test_stdin_is_empty(tmp_path: Path) -> None:
    assert (
        run(tmp_path, *python("import sys; print(repr(sys.stdin.read()), sys.stdin.isatty())")).stdout == "'' False\n"
    )


def on_a_terminal(tmp_path: Path, **variables: str) -> str:
    """What a terminal shows of a run with two ranks, the second of which fails."""
    ours, theirs = pty.openpty()
    program = "import os; print('hello'); exit(int(os.environ['MLX_RANK']))"
    command = [sys.executable, "-m", "supervisor.cli", "run", f"--state-dir={tmp_path}", "-n", "2", *python(program)]
    kept = {name: value for name, value in environment().items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm", **variables})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # EIO is a terminal's end of file
    process.wait(timeout=60)
    os.close(ours)
    return shown.decode()


def test_ranks_have_colours_on_a_terminal_only(tmp_path: Path) -> None:
    shown = on_a_terminal(tmp_path)
    assert "\x1b[36m[0]\x1b[0m hello" in shown
    assert "\x1b[33m[1]\x1b[0m hello" in shown
    assert "\x1b[" not in on_a_terminal(tmp_path, NO_COLOR="1")


def test_the_files_have_every_byte(tmp_path: Path) -> None:
    logs = tmp_path / "mine"
    program = "import sys; sys.stdout.buffer.write(b'a\\rb\\xff'); sys.stderr.write('e')"
    assert run(tmp_path, "-n", "2", "--log-dir", str(logs), *python(program)).returncode == 0
    (of_run,) = logs.iterdir()
    found = {path.name: path.read_bytes() for path in (of_run / "generation-1").iterdir() if path.suffix == ".log"}
    assert found == {
        f"rank-{rank}.{stream}.log": content
        for rank in (0, 1)
        for stream, content in (("stdout", b"a\rb\xff"), ("stderr", b"e"))
    }


FLOOD = """
import sys, time
block = (b"y" * 99 + b"\\n") * 640
longest = 0.0
for _ in range(2000):
    before = time.monotonic()
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    longest = max(longest, time.monotonic() - before)
print("end of the flood", file=sys.stderr)
"""


def test_a_reader_that_does_not_read_costs_output_and_no_memory(tmp_path: Path) -> None:
    with started(tmp_path, ["-n", "2", *python(FLOOD)]) as process:
        assert process.stderr is not None
        # Nobody reads stdout, and both ranks write 128 MB to their end all the same.
        ends = [process.stderr.readline(), process.stderr.readline()]
        assert sorted(ends) == [b"[0] end of the flood\n", b"[1] end of the flood\n"]
        peak_bytes = psutil.Process(process.pid).memory_info().rss
        code, text, _ = end(process)
    assert code == 0
    assert peak_bytes < 200 * 1024 * 1024
    lines = text.splitlines()
    shown = sum(line.endswith("y" * 99) for line in lines)
    missing = [int(match[1]) for line in lines if (match := re.fullmatch(r"\[ringwarden: (\d+) lines .*\]", line))]
    assert missing
    assert shown + sum(missing) == 2 * 2000 * 640
    assert len(lines) == shown + len(missing)


def test_a_pipeline_whose_reader_leaves_ends_the_ranks(tmp_path: Path) -> None:
    with started(tmp_path, ["--", "yes"]) as process:
        assert read_lines(process, 1) == ["y"]
        ranks = descendants(process.pid)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=60) == 141
        assert process.stderr is not None
        assert b"nobody reads" in process.stderr.read()
    assert not any(rank.is_running() for rank in ranks)


def test_tags_and_output_are_in_the_journal(tmp_path: Path) -> None:
    outcome = run(tmp_path, "--json", "--tag", "experiment=7", "--tag", "owner=me", *python("print('kept')"))
    (run_id,) = {event["run_id"] for event in events(outcome.stdout) if event["event"] == "start"}
    with sqlite3.connect(tmp_path / "journal.db") as journal:
        journal.row_factory = sqlite3.Row
        (task,) = journal.execute("SELECT * FROM tasks WHERE tag_experiment = '7' AND tag_owner = 'me'").fetchall()
        assert (task["run_id"], task["outcome"]) == (run_id, "finished")
        (log,) = journal.execute("SELECT * FROM captured_logs").fetchall()
        assert (log["stdout"], log["stderr"], log["success"], log["tag_experiment"]) == ("kept\n", "", 1, "7")
    journal.close()


def test_a_failure_is_an_incident_that_why_can_tell(tmp_path: Path) -> None:
    outcome = run(tmp_path, *python("raise ValueError('told later')"))
    (incident_id,) = re.findall(r"ringwarden why (inc-\w+)", outcome.stderr)
    command = [sys.executable, "-m", "supervisor.cli", "why", incident_id, f"--state-dir={tmp_path}", "--json"]
    told = subprocess.run(command, capture_output=True, env=environment(), timeout=60, check=True)
    assert "told later" in json.dumps(json.loads(told.stdout))
