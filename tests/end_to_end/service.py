"""A real `ringwarden up` as a person starts it: a process, a port, a state folder."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTED_ENGINE = "tests.faults.scripted:ScriptedEngine"
DEADLINE_S = 90.0


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> float:
    """Return how many seconds it took until `condition` held; fail with `what` after the deadline."""
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < deadline_s, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - started_at


class Service:
    """A running daemon. `log` is what it has printed so far."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self.state_dir = folder / "state"
        self._log = (folder / "log").open("w+b")
        command = [sys.executable, "-m", "supervisor.cli", "up", "--port=0", f"--state-dir={self.state_dir}"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, "PYTHONPATH": str(PROJECT)},
            cwd=folder,
        )

    @property
    def log(self) -> str:
        """Everything that the daemon printed."""
        return Path(self._log.name).read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where it serves; waits until it does."""
        record = self.state_dir / "daemon.json"
        wait_until(lambda: record.exists() or self.process.poll() is not None, "the daemon serves")
        assert record.exists(), self.log
        return json.loads(record.read_bytes())["url"]

    def get(self, path: str) -> Any:
        """GET a JSON body, whatever the status."""
        return httpx2.get(self.url + path, timeout=30).json()

    def post(self, path: str, body: Any, **arguments: Any) -> httpx2.Response:
        """POST JSON."""
        return httpx2.post(self.url + path, json=body, timeout=60, **arguments)

    def client(self, **arguments: Any) -> openai.OpenAI:
        """The SDK as a client uses it, without its retries unless asked for."""
        settings: dict[str, Any] = {"max_retries": 0, "timeout": 60.0, **arguments}
        return openai.OpenAI(base_url=self.url + "/v1", api_key="unused", **settings)

    def pids(self) -> list[int]:
        """The runners' pids by rank; those that run."""
        return [rank["pid"] for rank in self.get("/cluster")["ranks"] if rank["pid"] is not None]

    def wait_ready(self, generation: int = 1) -> dict[str, Any]:
        """Wait until this generation serves; return the cluster view."""
        view: dict[str, Any] = {}

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            view.update(self.get("/cluster"))
            return view["state"] == "ready" and view["generation"] >= generation

        wait_until(is_ready, f"generation {generation} is ready")
        return view

    def stop(self) -> None:
        """End it as Ctrl-C does, and check that it took everything along."""
        family = [self.process.pid, *(child.pid for child in _descendants(self.process.pid))]
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._log.close()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in family), "no process is left", 10)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def fault_environment(script: dict[str, Any], faults: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return what tells a scripted engine how to behave."""
    return {"FAULT_ENGINE_SCRIPT": json.dumps(script), "FAULT_ENGINE_FAULTS": json.dumps(list(faults))}


@contextmanager
def service(
    *arguments: str, faults: Sequence[dict[str, Any]] = (), script: dict[str, Any] | None = None
) -> Iterator[Service]:
    """Start a daemon, by default with two scripted ranks; it is stopped at the end and nothing is left."""
    with tempfile.TemporaryDirectory(prefix="rw-") as name:
        folder = Path(name)
        started = Service(arguments, fault_environment(script or {}, faults), folder)
        try:
            yield started
        finally:
            started.stop()


@contextmanager
def scripted_service(
    *arguments: str, faults: Sequence[dict[str, Any]] = (), script: dict[str, Any] | None = None
) -> Iterator[Service]:
    """A daemon over two scripted ranks: fast to start, breaks on command."""
    with service(f"--engine={SCRIPTED_ENGINE}", *arguments, faults=faults, script=script) as started:
        yield started
