"""Plays the supervisor for real runner processes: spawns them, reads their frames, sends commands. Every wait ends."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from diagnostics.phase import Phase
from transports.channel import DownwardEncoder, UpwardDecoder
from transports.messages import (
    TERMINAL_EVENTS,
    CancelTask,
    ChatPrompt,
    Command,
    Configure,
    PhaseChanged,
    Prompt,
    SamplingParameters,
    Shutdown,
    StartTask,
    TextPrompt,
    TokenChunk,
    Upward,
    WakeForTask,
)

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTED = "tests.faults.scripted:ScriptedEngine"
MLX = "runner.mlx_engine:MlxEngine"
TIMEOUT_S = 60.0
GREEDY = SamplingParameters(temperature=0.0, max_tokens=16)
EventType = TypeVar("EventType")


class RunnerProcess:
    """One runner and the supervisor's end of its channel."""

    def __init__(self, configure: Configure, environment: Mapping[str, str]) -> None:
        self.rank = configure.rank
        self.events: list[Upward] = []
        self.violation: Exception | None = None
        self.eof = False
        self._scan = 0
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.dump = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.stdout = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        arguments = ["--rank", str(configure.rank), "--generation", str(configure.generation)]
        descriptors = ["--channel-fd", str(theirs.fileno()), "--dump-fd", str(self.dump.fileno())]
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments, *descriptors],
            stdin=subprocess.DEVNULL,
            stdout=self.stdout,
            stderr=self.stderr,
            pass_fds=(theirs.fileno(), self.dump.fileno()),
            start_new_session=True,
            cwd=PROJECT,
            env={**os.environ, **environment},
        )
        theirs.close()
        self._decoder = UpwardDecoder(configure.generation)
        self._encoder = DownwardEncoder(configure.generation)
        self.send(configure)

    def send(self, command: Command) -> None:
        """Send one command; a runner that is gone is no error here."""
        with contextlib.suppress(OSError):
            self.socket.sendall(self._encoder.encode(command))

    def pump(self, timeout_s: float) -> None:
        """Read what comes within the time."""
        readable, _, _ = select.select([self.socket], [], [], timeout_s)
        if not readable:
            return
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return
        events, violation = self._decoder.feed(data)
        self.events += events
        self.violation = self.violation or violation

    def wait_for(self, condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
        """Read until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self.eof or time.monotonic() > deadline:
                why = "the channel ended" if self.eof else f"not within {timeout_s} s"
                raise AssertionError(
                    f"rank {self.rank}: {why}\nevents: {self.events[-20:]}\nstderr: {self.error_text()}"
                )
            self.pump(0.05)

    def wait_for_phase(self, phase: Phase, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the last announced phase is this one."""
        self.wait_for(lambda: self.phases[-1:] == [phase], timeout_s)

    def drain(self, timeout_s: float = TIMEOUT_S) -> None:
        """Read to the end of the channel."""
        deadline = time.monotonic() + timeout_s
        while not self.eof:
            assert time.monotonic() < deadline, f"rank {self.rank}: no end of file within {timeout_s} s"
            self.pump(0.05)

    def exit_code(self, timeout_s: float = TIMEOUT_S) -> int:
        """Read to the end and return how the process ended."""
        self.drain(timeout_s)
        return self.process.wait(timeout_s)

    @property
    def phases(self) -> list[Phase]:
        """The announced phases, repetitions joined."""
        phases: list[Phase] = []
        for event in self.events:
            if isinstance(event, PhaseChanged) and phases[-1:] != [event.phase]:
                phases.append(event.phase)
        return phases

    def of(self, event_type: type[EventType], task_id: str | None = None) -> list[EventType]:
        """Events of a type, of one task if given."""
        return [e for e in self.events if isinstance(e, event_type) and task_id in (None, getattr(e, "task_id", None))]

    def terminals(self, task_id: str) -> list[Any]:
        """Terminal events of a task; more than one is a bug."""
        return [e for e in self.events if isinstance(e, TERMINAL_EVENTS) and e.task_id == task_id]

    def text(self, task_id: str) -> str:
        """All text of a task."""
        parts = [chunk.text for chunk in self.of(TokenChunk, task_id)]
        return "".join(parts) + "".join(getattr(e, "text", "") for e in self.terminals(task_id))

    def error_text(self) -> str:
        """What is on stderr so far."""
        return os.pread(self.stderr.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def dump_text(self) -> str:
        """What is in the dump file so far."""
        return os.pread(self.dump.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def end(self) -> None:
        """Kill the process group if it is there, and let go of everything."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)
        for thing in (self.socket, self.dump, self.stdout, self.stderr):
            thing.close()


class Group:
    """Runners of one model, commanded as the supervisor does it."""

    def __init__(self, runners: list[RunnerProcess]) -> None:
        self.runners = runners
        self.leader = runners[0]

    def wait_for_phase(self, phase: Phase, timeout_s: float = TIMEOUT_S) -> Self:
        """Wait until all ranks are in the phase."""
        for runner in self.runners:
            runner.wait_for_phase(phase, timeout_s)
        return self

    def start(self, task_id: str, prompt: Prompt | str = "one two", sampling: SamplingParameters = GREEDY) -> None:
        """Send a task to rank 0 and wake the others."""
        if isinstance(prompt, str):
            prompt = TextPrompt(prompt)
        self.leader.send(StartTask(task_id, prompt, sampling))
        for follower in self.runners[1:]:
            follower.send(WakeForTask(task_id))

    def chat(self, task_id: str, messages: Sequence[dict[str, Any]], sampling: SamplingParameters = GREEDY) -> None:
        """Send a chat."""
        self.start(task_id, ChatPrompt(tuple(messages)), sampling)

    def cancel(self, task_id: str) -> None:
        """Cancel at rank 0."""
        self.leader.send(CancelTask(task_id))

    def finish(self, *task_ids: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the tasks have ended."""
        self.leader.wait_for(lambda: all(self.leader.terminals(task_id) for task_id in task_ids), timeout_s)

    def run(self, task_id: str, prompt: Prompt | str = "one two", sampling: SamplingParameters = GREEDY) -> str:
        """Run one task and return its text."""
        self.start(task_id, prompt, sampling)
        self.finish(task_id)
        return self.leader.text(task_id)

    def shut_down(self) -> list[int]:
        """Tell all to leave and return their exit codes."""
        for runner in self.runners:
            runner.send(Shutdown())
        return [runner.exit_code() for runner in self.runners]


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


@contextlib.contextmanager
def running(
    *,
    ranks: int = 1,
    engine: str = SCRIPTED,
    model: str = "",
    faults: Sequence[Mapping[str, Any]] = (),
    script: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **configuration: Any,
) -> Iterator[Group]:
    """Start a group; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder, contextlib.ExitStack() as stack:
        hostfile = Path(folder, "hosts.json")
        hostfile.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(ranks)]))
        runners: list[RunnerProcess] = []
        for rank in range(ranks):
            values: dict[str, Any] = {
                "rank": rank,
                "world_size": ranks,
                "generation": 1,
                "engine": engine,
                "model": model,
                "parallel": "tensor",
                "backend": "ring" if ranks > 1 else "none",
                "max_concurrent_tasks": 8,
                "prefill_step_tokens": 512,
                "dead_man_s": 10.0,
                **configuration,
            }
            variables = {
                "MLX_RANK": str(rank),
                "MLX_HOSTFILE": str(hostfile),
                "FAULT_ENGINE_FAULTS": json.dumps(list(faults)),
                "FAULT_ENGINE_SCRIPT": json.dumps(script or {}),
                **(environment or {}),
            }
            runner = RunnerProcess(Configure(**values), variables)
            stack.callback(runner.end)
            runners.append(runner)
        yield Group(runners)
