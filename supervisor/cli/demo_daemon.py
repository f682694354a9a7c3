"""The daemon that the demo starts, watches and leaves no trace of."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

MODEL = "tiny"
RANKS = 2
STOP_GRACE_S = 20.0
POLL_S = 0.05
MAX_OUTPUT_TAIL_BYTES = 4_000


class DemoFailed(Exception):
    """Something that the demo promises did not happen; the text says what."""


class DemoDaemon:
    """A `ringwarden up` child with a temporary state folder, on a free port. Ended, by pid, when the block ends."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="ringwarden-demo-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._output = folder / "output.txt"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        # The demo is about the defaults: settings of this machine's real daemon stay out of it.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGWARDEN_")}
        flags = [
            "--config",
            os.devnull,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--state-dir",
            str(folder / "state"),
        ]
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "supervisor.cli", "up", "--model", MODEL, "--ranks", str(RANKS), *flags],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C is for the demo, which then stops the daemon in order.
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.terminate()
        try:
            self._child.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._folder.cleanup()

    def wait_until(self, condition: Callable[[], bool], what: str, deadline_s: float) -> float:
        """Wait for `condition`, asking again and again. Blocks; returns the seconds that it took.

        Raises:
            DemoFailed: The deadline passed, or the daemon ended; both quote the daemon's last output.
        """
        began = time.monotonic()
        while not condition():
            code = self._child.poll()
            if code is not None:
                raise DemoFailed(f"the daemon ended with exit code {code} while waiting until {what}.\n{self._tail()}")
            if time.monotonic() - began > deadline_s:
                raise DemoFailed(f"after {deadline_s:g} s it was still not true that {what}.\n{self._tail()}")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _tail(self) -> str:
        with self._output.open("rb") as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - MAX_OUTPUT_TAIL_BYTES))
            return "The daemon's output:\n" + output.read().decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
