"""How a client meets a fault: each scene starts a daemon of its own, lets the client ask, and leaves nothing behind."""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx2

from tests.acceptance.client_process import ClientProcess
from tests.acceptance.rule import Seen
from tests.end_to_end.service import Service, fault_environment, wait_until

LEFT_ALONE_S = 5.0


class Setting(NamedTuple):
    """What the daemon is told, and what the client asks."""

    engine: str
    settings: Mapping[str, float]
    script: Mapping[str, Any]
    faults: tuple[Mapping[str, Any], ...]
    prompt: str
    client_arguments: tuple[str, ...]


class Scene(Protocol):
    """Runs one cell of the matrix; `command` starts the client."""

    def __call__(self, setting: Setting, command: Sequence[str], mode: str) -> Seen: ...


def ask_when_ready(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """The group serves when the client asks; what breaks is in the engine's script."""
    with _daemon(setting) as daemon:
        daemon.wait_ready()
        return _seen(daemon, _ask(daemon, setting, command, mode))


def ask_while_loading(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """The daemon has just begun to load the model."""
    with _daemon(setting) as daemon:
        return _seen(daemon, _ask(daemon, setting, command, mode))


def ask_when_full(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """Another client has the only place, and keeps it."""
    with _daemon(setting) as daemon, httpx2.Client(timeout=60) as other:
        daemon.wait_ready()
        body = {"model": "tiny", "prompt": "stay", "stream": True, "ignore_eos": True}
        with other.stream("POST", daemon.url + "/v1/completions", json=body) as occupying:
            assert occupying.status_code == 200
            return _seen(daemon, _ask(daemon, setting, command, mode))


def ask_and_kill_after_the_finish(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """A rank is killed as soon as the task has had its last event."""
    with _daemon(setting) as daemon, ThreadPoolExecutor(1) as pool:
        daemon.wait_ready()
        _, pid = daemon.pids()
        asked = pool.submit(_ask, daemon, setting, command, mode)
        wait_until(lambda: asked.done() or _finished(daemon) > 0, "the task is finished")
        os.kill(pid, signal.SIGKILL)
        return _seen(daemon, asked.result())


def ask_with_another_key(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """The daemon wants a key that the client does not have."""
    with _daemon(setting, RINGWARDEN_API_KEY=secrets.token_hex()) as daemon:
        return Seen(_ask(daemon, setting, command, mode), 0)


def ask_across_a_restart(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """The daemon is killed while it answers, and started again on the same port."""
    with tempfile.TemporaryDirectory(prefix="rw-") as name, ThreadPoolExecutor(1) as pool:
        folder = Path(name)
        first = _started(setting, folder)
        try:
            first.wait_ready()
            url = first.url
            asking = ClientProcess(command, url, mode, setting.prompt, setting.client_arguments)
            _until_answering(first, asking, mode)
        finally:
            first.process.kill()
            first.stop()
        outcome = pool.submit(asking.outcome)
        (folder / "state" / "daemon.json").unlink()
        second = _started(setting, folder, port=int(url.rpartition(":")[2]))
        try:
            second.wait_ready()
            return _seen(second, outcome.result())
        finally:
            second.stop()


def ask_and_leave(setting: Setting, command: Sequence[str], mode: str) -> Seen:
    """The client is killed while it is answered: its task has to end. `finished_tasks` are those that did not."""
    with _daemon(setting) as daemon:
        daemon.wait_ready()
        asking = ClientProcess(command, daemon.url, mode, setting.prompt, setting.client_arguments)
        _until_answering(daemon, asking, mode)
        asking.kill()
        try:
            seconds = wait_until(lambda: daemon.get("/cluster")["tasks_in_flight"] == 0, "cancelled", LEFT_ALONE_S)
        except AssertionError:
            return Seen({"outcome": "was not noticed to be gone", "seconds": LEFT_ALONE_S}, 0)
        is_cancelled = daemon.get("/cluster")["figures"]["cancelled"] == 1
        outcome = "left" if is_cancelled else "was answered to the end although it was gone"
        return Seen({"outcome": outcome, "seconds": round(seconds, 3)}, 0)


def _until_answering(daemon: Service, asking: ClientProcess, mode: str) -> None:
    wait_until(lambda: daemon.get("/cluster")["tasks_in_flight"] == 1, "the task is computed")
    if mode == "stream":
        asking.until_begun()


def _ask(daemon: Service, setting: Setting, command: Sequence[str], mode: str) -> Mapping[str, Any]:
    return ClientProcess(command, daemon.url, mode, setting.prompt, setting.client_arguments).outcome()


def _finished(daemon: Service) -> int:
    return daemon.get("/cluster")["figures"]["finished"]


def _seen(daemon: Service, outcome: Mapping[str, Any]) -> Seen:
    return Seen(outcome, _finished(daemon))


@contextmanager
def _daemon(setting: Setting, **environment: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="rw-") as name:
        started = _started(setting, Path(name), **environment)
        try:
            yield started
        finally:
            started.stop()


def _started(setting: Setting, folder: Path, port: int = 0, **environment: str) -> Service:
    told = {f"RINGWARDEN_{name.upper()}": str(value) for name, value in setting.settings.items()}
    script = fault_environment(dict(setting.script), list(map(dict, setting.faults)))
    return Service([f"--engine={setting.engine}", f"--port={port}"], {**script, **told, **environment}, folder)
