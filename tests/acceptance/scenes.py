"""How clients meet a fault: each scene starts a daemon, lets clients ask in turn, and leaves nothing behind."""

import json
import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from tests.acceptance.client_process import ClientProcess
from tests.acceptance.rule import Seen
from tests.end_to_end.service import Service, fault_environment, wait_until

LEFT_ALONE_S = 5.0


class Setting(NamedTuple):
    """What the daemon is told, and what the clients ask.

    `faults` happen as they say; `armed` ones happen to each client once, counted from its request.
    """

    engine: str
    settings: Mapping[str, float]
    script: Mapping[str, Any]
    faults: Sequence[Mapping[str, Any]]
    armed: Sequence[Mapping[str, Any]]
    prompt: str
    client_arguments: Sequence[str]


# Starts a client by its command, in a mode, and tells what came of it.
Ask = Callable[[Sequence[str], str], Seen]
Scene = Callable[[Setting], AbstractContextManager[Ask]]


@contextmanager
def ask_when_ready(setting: Setting) -> Generator[Ask]:
    """The group serves when a client asks; what breaks is in the engine's script."""
    with _daemon(setting) as daemon:

        def ask(command: Sequence[str], mode: str) -> Seen:
            daemon.arm(setting.armed)
            return daemon.ask(command, mode)

        yield ask


@contextmanager
def ask_while_loading(setting: Setting) -> Generator[Ask]:
    """The daemon loads the model when a client asks."""
    with _daemon(setting) as daemon:
        yield daemon.ask


@contextmanager
def ask_when_full(setting: Setting) -> Generator[Ask]:
    """Another client has the only place, and keeps it."""
    with _daemon(setting) as daemon, httpx2.Client(timeout=60) as other:
        daemon.wait_ready()
        body = {"model": "tiny", "prompt": "stay", "stream": True, "ignore_eos": True}
        with other.stream("POST", daemon.url + "/v1/completions", json=body) as occupying:
            assert occupying.status_code == 200
            yield daemon.ask


@contextmanager
def ask_and_kill_after_the_finish(setting: Setting) -> Generator[Ask]:
    """A rank is killed as soon as the task has had its last event."""
    with _daemon(setting) as daemon, ThreadPoolExecutor(1) as pool:

        def ask(command: Sequence[str], mode: str) -> Seen:
            generation = daemon.wait_ready()["generation"]
            before, (_, pid) = daemon.counted("finished"), daemon.pids()
            asked = pool.submit(daemon.ask, command, mode)
            wait_until(lambda: asked.done() or daemon.counted("finished") > before, "the task is finished")
            os.kill(pid, signal.SIGKILL)
            daemon.wait_ready(generation + 1)
            return asked.result()

        yield ask


@contextmanager
def ask_with_another_key(setting: Setting) -> Generator[Ask]:
    """The daemon wants a key that the client does not have."""
    with _daemon(setting, RINGWARDEN_API_KEY=secrets.token_hex()) as daemon:
        yield lambda command, mode: Seen(daemon.start(command, mode).outcome(), 0)


@contextmanager
def ask_across_a_restart(setting: Setting) -> Generator[Ask]:
    """The daemon is killed while it answers, and started again on the same port."""
    with tempfile.TemporaryDirectory(prefix="rw-") as name, ThreadPoolExecutor(1) as pool:
        folder = Path(name)

        def ask(command: Sequence[str], mode: str) -> Seen:
            first = AskedService(setting, folder)
            try:
                first.wait_ready()
                url = first.url
                asking = first.start_and_wait(command, mode)
            finally:
                first.process.kill()
                first.stop()
            outcome = pool.submit(asking.outcome)
            (folder / "state" / "daemon.json").unlink()
            second = AskedService(setting, folder, port=int(url.rpartition(":")[2]))
            try:
                second.wait_ready()
                return Seen(outcome.result(), second.counted("finished"))
            finally:
                second.stop()

        yield ask


@contextmanager
def ask_and_leave(setting: Setting) -> Generator[Ask]:
    """The client is killed while it is answered: its task has to end."""
    with _daemon(setting) as daemon:

        def ask(command: Sequence[str], mode: str) -> Seen:
            daemon.wait_ready()
            before = daemon.counted("cancelled")
            daemon.start_and_wait(command, mode).kill()
            try:
                seconds = wait_until(lambda: daemon.get("/cluster")["tasks_in_flight"] == 0, "cancelled", LEFT_ALONE_S)
            except AssertionError:
                return Seen({"outcome": "was not noticed to be gone", "seconds": LEFT_ALONE_S}, 0)
            is_cancelled = daemon.counted("cancelled") == before + 1
            outcome = "left" if is_cancelled else "was answered to the end although it was gone"
            return Seen({"outcome": outcome, "seconds": round(seconds, 3)}, 0)

        yield ask


class AskedService(Service):
    """A daemon in one setting."""

    def __init__(self, setting: Setting, folder: Path, port: int = 0, **environment: str) -> None:
        self._setting = setting
        self._armed = folder / "armed.json"
        told = {f"RINGWARDEN_{name.upper()}": str(value) for name, value in setting.settings.items()}
        script = fault_environment(dict(setting.script), list(map(dict, setting.faults)))
        script["FAULT_ENGINE_FAULTS_FILE"] = str(self._armed)
        super().__init__([f"--engine={setting.engine}", f"--port={port}"], {**script, **told, **environment}, folder)

    def arm(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Wait until it serves; let these faults happen to the generation that does."""
        generation = self.wait_ready()["generation"]
        self._armed.write_text(json.dumps([{**fault, "generation": generation} for fault in faults]))

    def start(self, command: Sequence[str], mode: str) -> ClientProcess:
        """Start a client."""
        return ClientProcess(command, self.url, mode, self._setting.prompt, self._setting.client_arguments)

    def start_and_wait(self, command: Sequence[str], mode: str) -> ClientProcess:
        """Start a client and wait until it is being answered."""
        asking = self.start(command, mode)
        wait_until(lambda: self.get("/cluster")["tasks_in_flight"] == 1, "the task is computed")
        if mode == "stream":
            asking.until_begun()
        return asking

    def ask(self, command: Sequence[str], mode: str) -> Seen:
        """Run a client to its end."""
        before = self.counted("finished")
        outcome = self.start(command, mode).outcome()
        return Seen(outcome, self.counted("finished") - before)

    def counted(self, figure: str) -> int:
        """Return one of the daemon's counts of tasks."""
        return self.get("/cluster")["figures"][figure]


@contextmanager
def _daemon(setting: Setting, **environment: str) -> Generator[AskedService]:
    with tempfile.TemporaryDirectory(prefix="rw-") as name:
        started = AskedService(setting, Path(name), **environment)
        try:
            yield started
        finally:
            started.stop()
