"""Running the processes of one scenario and keeping what they leave."""

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from capturing.scenario import ALIVE, Command, Ended

_POLL_S = 0.02


def run_all(commands: Sequence[Command], folder: Path, watch_s: float, settle_s: float) -> list[Ended]:
    """Start every command, wait until all have ended, or `settle_s` after one has, or `watch_s`; then kill the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"stderr.{number}" for number in range(len(commands))]
    started = [_start(command, log) for command, log in zip(commands, logs, strict=True)]
    try:
        exits = _wait(started, watch_s, settle_s)
        # Before the rest is killed: what they say about that is no part of the scenario.
        texts = [log.read_bytes().decode("utf-8", "replace") for log in logs]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return [Ended(text, exit_) for text, exit_ in zip(texts, exits, strict=True)]


def _start(command: Command, log: Path) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environ = {**kept, "HOME": str(log.parent), "HF_HOME": str(log.parent / "hub"), "PYTHONUNBUFFERED": "1"}

    def limit() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
        for name, value in command.limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    with log.open("wb") as stderr:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=stderr if command.with_stdout else subprocess.DEVNULL,
            stderr=stderr,
            env=environ | command.environ,
            cwd=log.parent,
            start_new_session=True,
            preexec_fn=limit,  # noqa: PLW1509 - this program has no threads
        )


def _wait(started: Sequence[subprocess.Popen[bytes]], watch_s: float, settle_s: float) -> list[int | str]:
    deadline = time.monotonic() + watch_s
    first_end: float | None = None
    while time.monotonic() < deadline:
        ended = [process.poll() is not None for process in started]
        if all(ended):
            break
        if any(ended) and first_end is None:
            first_end = time.monotonic()
            deadline = min(deadline, first_end + settle_s)
        time.sleep(_POLL_S)
    return [ALIVE if process.poll() is None else process.returncode for process in started]
