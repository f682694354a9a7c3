"""`ringwarden run` as a person or a script starts it: a real process with real output."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.supervisor.conftest import wait_until

PROJECT = Path(__file__).resolve().parents[3]
DEADLINE_S = 60.0
# A shell that starts us in the background has SIGINT ignored, and exec would pass that on.
_WITH_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


def command(state: Path, *arguments: str) -> list[str]:
    """The command line of a run."""
    run = [sys.executable, "-m", "supervisor.cli", "run", f"--state-dir={state}", *arguments]
    return [sys.executable, "-c", _WITH_SIGINT, *run]


def environment() -> dict[str, str]:
    """Ours, without settings of a developer's machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RINGWARDEN_", "MLX_"))}
    return {**kept, "PYTHONPATH": str(PROJECT)}


def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(state, *arguments),
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(),
        timeout=DEADLINE_S,
        check=False,
    )


def python(program: str, *arguments: str) -> list[str]:
    """The end of a command line that runs a Python program."""
    return ["--", sys.executable, "-c", program, *arguments]


def events(text: str) -> list[dict[str, Any]]:
    """The objects of `--json`."""
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def started(state: Path, arguments: Sequence[str], **popen: Any) -> Generator[subprocess.Popen[bytes]]:
    """A run that goes on; ended by force when the test leaves it alive."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    process = subprocess.Popen(command(state, *arguments), env=environment(), **pipes)
    try:
        yield process
    finally:
        family = descendants(process.pid)
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        for one in family:
            wait_until(lambda one=one: not one.is_running() or one.status() == psutil.STATUS_ZOMBIE, f"{one} is gone")


def descendants(pid: int) -> list[psutil.Process]:
    """What a process has started, and what that has."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def read_lines(process: subprocess.Popen[bytes], count: int) -> list[str]:
    """The next lines of its stdout."""
    assert process.stdout is not None
    return [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]


def end(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Wait for the end; return the exit code and the rest of both streams."""
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    return process.returncode, (stdout or b"").decode(), (stderr or b"").decode()
