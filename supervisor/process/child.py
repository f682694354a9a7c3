"""One child process: started by exec in its own session, signalled as a group, reaped by us alone."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from diagnostics.evidence import ExitStatus

StreamName = Literal["stdout", "stderr"]
Destination = int | IO[Any] | None
"""Where a stream goes, as in `subprocess.Popen`; PIPE is a pipe that we read, None is our own stream."""

Command = str | bytes | Path | Sequence[str | bytes | Path]


class ChildProcess:
    """A started child with our ends of its pipes. Not thread-safe; belongs to one supervising task.

    The child's pid is its process group and its session. Until `reap`, the pid cannot be reused, so signals can only
    reach this child and its descendants.

    Args:
        popen: The child.
        outputs: Our ends of the pipes that there are.
    """

    def __init__(self, popen: subprocess.Popen[Any], outputs: Mapping[StreamName, int]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.outputs = dict(outputs)
        self.signals_sent: list[int] = []
        self._reaped = False

    def signal_group(self, number: signal.Signals) -> bool:
        """Send a signal to the child's process group and note it; False when nobody was left to receive it."""
        if self._reaped:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # macOS answers EPERM for a group that holds nothing but zombies.
            return False
        self.signals_sent.append(int(number))
        return True

    def signal_leader(self, number: signal.Signals) -> None:
        """Send a signal to the child alone, not to its descendants: they may not be ready for it."""
        if not self._reaped:
            os.kill(self.pid, number)
            self.signals_sent.append(int(number))

    def sweep_group(self) -> None:
        """End what the child left behind in its process group. To be called after its exit and before `reap`."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def reap(self) -> ExitStatus | None:
        """Take the exit status, which ends the zombie; None when the child has not ended. Never blocks."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        self._reaped = True
        # Popen must not wait for a pid that may belong to somebody else by now.
        self._popen.returncode = code
        return ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)

    def close(self) -> None:
        """Close our ends of the pipes."""
        for descriptor in self.outputs.values():
            os.close(descriptor)
        self.outputs.clear()


def start_child(
    command: Command,
    *,
    stdout: Destination = subprocess.PIPE,
    stderr: Destination = subprocess.PIPE,
    **popen_arguments: Any,
) -> ChildProcess:
    """Start a program by exec in a new session, with stdin on /dev/null. Blocks until exec has succeeded or failed.

    Args:
        command: Program and arguments, or a line for the shell with `shell=True`.
        stdout: PIPE for a pipe of ours, or whatever `subprocess.Popen` takes.
        stderr: The same.
        popen_arguments: Everything else for `subprocess.Popen`; its stdin and session are ours to decide.

    Raises:
        OSError: When the program cannot be started; nothing is left behind.
    """
    pipes: dict[StreamName, tuple[int, int]] = {}
    try:
        ends: dict[StreamName, Destination] = {"stdout": stdout, "stderr": stderr}
        for name, destination in ends.items():
            if destination == subprocess.PIPE:
                pipes[name] = os.pipe()
                os.set_blocking(pipes[name][0], False)
                ends[name] = pipes[name][1]
        managed: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "process_group": None,
            **ends,
        }
        popen: subprocess.Popen[Any] = subprocess.Popen(command, **{**popen_arguments, **managed})
    except BaseException:
        for read_end, _ in pipes.values():
            os.close(read_end)
        raise
    finally:
        for _, write_end in pipes.values():
            os.close(write_end)
    return ChildProcess(popen, {name: read_end for name, (read_end, _) in pipes.items()})
