"""One process of a cluster as a person starts it, and how it is found again, whoever its parent is by then."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.end_to_end.service import PROJECT, wait_until

MARK = "CLUSTER_UNDER_TEST"
STOP_DEADLINE_S = 30.0


class CommandProcess:
    """A `ringwarden` command that runs until it is ended. Its log survives restarts.

    Args:
        arguments: What follows `ringwarden`.
        environment: Added to this process's own.
        log_file: Takes both of its streams; appended to.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self._log_file = log_file
        self._log_begins_at = log_file.stat().st_size if log_file.exists() else 0
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "PYTHONPATH": str(PROJECT)},
                cwd=log_file.parent,
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """Everything that this process printed; not what earlier ones did."""
        return self._log_file.read_bytes()[self._log_begins_at :].decode(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0 when a signal ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut does; it is reaped when this returns."""
        self.signal(signal.SIGKILL)
        self._process.wait(STOP_DEADLINE_S)

    def wait_end(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """Wait for the end of what was told to end; return the exit code. It is killed when it does not obey."""
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {deadline_s} s; its log:\n{self.log}") from None


def marked_processes(mark: str) -> list[psutil.Process]:
    """Every process that was started in this cluster, however it was orphaned; no zombies."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def zombies_of(pid: int) -> list[psutil.Process]:
    """The dead children that a process has not reaped."""
    try:
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if is_zombie(child)]


def is_zombie(process: psutil.Process) -> bool:
    """Whether it is dead and not reaped."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_over(pid: int) -> bool:
    """Whether nothing runs under this pid any more; who was killed with its parent may wait for init to reap it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_marked(mark: str) -> list[str]:
    """Kill what is left of a cluster; return what it was."""
    left = marked_processes(mark)
    named: list[str] = []
    for process in left:
        try:
            named.append(f"{process.pid}: {' '.join(process.cmdline())}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    wait_until(lambda: not marked_processes(mark), "what was left is killed", 10)
    return named
