"""A `ringwarden up` of one's own for a benchmark."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 30.0
TOKENS_FOREVER = 4000


class Daemon:
    """A running daemon. `process` is its own; `port` is where it listens on 127.0.0.1; `started_at_s` is monotonic."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, model_id: str, output: Path) -> None:
        self.process = process
        self.port = port
        self.model_id = model_id
        self.started_at_s = time.monotonic()
        self._output = output

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and decoded body; status 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except OSError:
            return 0, None
        finally:
            connection.close()

    def cluster(self) -> dict[str, Any]:
        """Return what `/cluster` shows."""
        return self.get("/cluster")[1]

    def pids(self) -> dict[int, int]:
        """Return the runners that live."""
        return {rank["rank"]: rank["pid"] for rank in self.cluster()["ranks"] if rank["pid"] is not None}

    def until(self, condition: Callable[[], object], what: str, interval_s: float = 0.02) -> float:
        """Ask again and again until it is true; return that moment.

        Raises:
            RuntimeError: The daemon ended, or it took too long; its output is quoted.
        """
        deadline = time.monotonic() + START_DEADLINE_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"not true: {what}\n{self._output.read_text(errors='replace')[-4000:]}")
            time.sleep(interval_s)
        return time.monotonic()

    def until_ready(self, generation: int = 1) -> float:
        """Wait until this generation or a later one serves; return that moment."""

        def serves() -> bool:
            status, cluster = self.get("/cluster")
            return status == 200 and cluster["state"] == "ready" and cluster["generation"] >= generation

        return self.until(serves, f"generation {generation} serves")

    def request(self, **fields: Any) -> dict[str, Any]:
        """Return a streamed completion request that goes on to its last token."""
        return {
            "model": self.model_id,
            "prompt": "one two",
            "temperature": 0,
            "stream": True,
            "ignore_eos": True,
            "max_tokens": TOKENS_FOREVER,
            **fields,
        }


@contextlib.contextmanager
def running_daemon(
    *,
    ranks: int,
    engine: str | None = None,
    model: str = "tiny",
    environment: Mapping[str, str] | None = None,
    wait: bool = True,
) -> Iterator[Daemon]:
    """Start a daemon, wait until it serves, and leave nothing of it behind."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGWARDEN_")}
    with tempfile.TemporaryDirectory(prefix="rw-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        output = Path(folder, "output.txt")
        command = [sys.executable, "-m", "supervisor.cli", "up", "--config", os.devnull, "--model", model]
        command += ["--ranks", str(ranks), "--port", str(port), "--state-dir", str(Path(folder, "state"))]
        command += [] if engine is None else ["--engine", engine]
        with output.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env={**clean, **(environment or {})},
                start_new_session=True,
            )
        daemon = Daemon(process, port, Path(model).name, output)
        try:
            if wait:
                daemon.until_ready()
            yield daemon
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process of one's own in order, or at once when it does not end."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
