"""One child process: started by exec in its own session, signalled as a group, reaped by us alone."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnostics.evidence import ExitStatus


class ChildProcess:
    """A started child with our ends of its pipes. Not thread-safe; belongs to one supervising task.

    The child's pid is its process group and its session. Until `reap`, the pid cannot be reused, so signals can only
    reach this child and its descendants.
    """

    def __init__(self, popen: subprocess.Popen[bytes], stdout_fd: int, stderr_fd: int) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd
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
        os.close(self.stdout_fd)
        os.close(self.stderr_fd)


def start_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    inherited_fds: Sequence[int],
    directory: Path | None = None,
) -> ChildProcess:
    """Start a program by exec in a new session, with stdin on /dev/null and pipes on stdout and stderr.

    Blocks until exec has succeeded or failed (milliseconds).

    Args:
        command: Program and arguments.
        environment: The whole environment of the child.
        inherited_fds: Descriptors that keep their number in the child; nothing else is inherited.
        directory: Working directory; ours when None.

    Raises:
        OSError: When the program cannot be started; nothing is left behind.
    """
    stdout_read, stdout_write = os.pipe()
    stderr_read, stderr_write = os.pipe()
    try:
        popen = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stdout_write,
            stderr=stderr_write,
            env=dict(environment),
            cwd=directory,
            pass_fds=tuple(inherited_fds),
            start_new_session=True,
        )
    except OSError:
        os.close(stdout_read)
        os.close(stderr_read)
        raise
    finally:
        os.close(stdout_write)
        os.close(stderr_write)
    os.set_blocking(stdout_read, False)
    os.set_blocking(stderr_read, False)
    return ChildProcess(popen, stdout_read, stderr_read)


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return (ours, the child's): a stream socketpair; ours does not block. Neither is inherited unless passed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return ours, theirs
