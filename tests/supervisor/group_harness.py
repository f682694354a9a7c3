"""Runs a real group of scripted runners and writes down what its observer is told."""

import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.attribution import Attributed
from supervisor.core.group import Group, GroupLimits
from supervisor.core.lifecycle import LifecycleLimits
from supervisor.core.restart import RestartLimits, RestartPolicy
from supervisor.group_observers import GroupObservers
from supervisor.group_supervisor import GroupSupervisor
from supervisor.guard import Guard
from supervisor.launch import GroupSpec
from supervisor.local_start import LocalStarter
from supervisor.memory.reader import MemorySources
from supervisor.observation import Observation
from supervisor.observers import GroupObserver
from supervisor.runner_supervisor import RunnerLimits
from supervisor.task_stream import BufferedTaskStream
from transports.http.gateway import GroupState
from transports.messages import (
    TERMINAL_EVENTS,
    Backend,
    ErrorChunk,
    RunnerFailed,
    SamplingParameters,
    TaskEvent,
    TextPrompt,
    TokenChunk,
)
from transports.output_events import OutputStream

SCRIPTED_ENGINE = "tests.faults.scripted:ScriptedEngine"
DEADLINE_S = 60.0
ENDLESS = SamplingParameters(temperature=0.0, max_tokens=4000, ignore_eos=True)


class Recorder:
    """A `GroupObserver` that remembers, with the time of each call."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.phases: list[tuple[int, Phase]] = []
        self.states: list[GroupState] = []
        self.failed: list[RunnerFailed] = []
        self.failed_at: list[float] = []
        self.incidents: dict[str, Incident] = {}
        self.output: dict[tuple[int, str], bytearray] = {}

    def on_generation(self, generation: int, model: str, world_size: int) -> None:
        """Remember."""
        del model, world_size
        self.generations.append(generation)

    def on_phase(self, rank: int, phase: Phase) -> None:
        """Remember."""
        self.phases.append((rank, phase))

    def on_state(self, state: GroupState, reason: str | None) -> None:
        """Remember."""
        del reason
        self.states.append(state)

    def on_runner_failed(self, failed: RunnerFailed) -> None:
        """Remember."""
        self.failed.append(failed)
        self.failed_at.append(time.monotonic())

    def on_incident(self, incident: Incident) -> None:
        """Remember the newest version."""
        self.incidents[incident.incident_id] = incident

    def on_output(self, rank: int, stream: str, data: bytes) -> None:
        """Remember the last of it."""
        buffer = self.output.setdefault((rank, stream), bytearray())
        buffer += data
        del buffer[:-10_000]

    def on_task_output(self, rank: int, stream: OutputStream, output: Attributed) -> None:
        """The output is remembered already."""


class RunningGroup:
    """A group under test."""

    def __init__(self, supervisor: GroupSupervisor, recorder: Recorder) -> None:
        self.supervisor = supervisor
        self.recorder = recorder

    async def until(self, condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Return at the first state change after which `condition` holds; it is tried before, too."""
        with anyio.move_on_after(deadline_s):
            while not condition():
                await self.supervisor.changed()
            return
        raise AssertionError(
            f"not within {deadline_s} s: {what}; state {self.supervisor.group.state}, reason "
            f"{self.supervisor.group.reason}, output {self.recorder.output}"
        )

    async def ready(self, generation: int) -> None:
        """Wait until this generation serves."""
        group = self.supervisor.group
        await self.until(
            lambda: group.state is GroupState.READY and group.generation >= generation, f"generation {generation} ready"
        )

    async def state(self, state: GroupState) -> None:
        """Wait until the group is in a state."""
        await self.until(lambda: self.supervisor.group.state is state, f"state {state}")

    def start_task(self, task_id: str, sampling: SamplingParameters = ENDLESS) -> BufferedTaskStream:
        """Give the group a task of a few words."""
        return self.supervisor.start_task(task_id, TextPrompt("a few words"), sampling)

    def pids(self) -> dict[int, int]:
        """The living runners."""
        return {rank: runner.pid for rank, runner in self.supervisor.runners.items() if runner.pid is not None}


@asynccontextmanager
async def running_group(
    folder: Path,
    *,
    faults: Sequence[dict[str, Any]] = (),
    script: dict[str, Any] | None = None,
    world_size: int = 2,
    backend: Backend = "ring",
    engine: str = SCRIPTED_ENGINE,
    model_path: Path = Path("/nonexistent"),
    lifecycle: LifecycleLimits | None = None,
    restart: RestartLimits | None = None,
    drain_deadline_s: float = 0.25,
    stall_timeout_s: float = 60.0,
    stall_floor_s: float = 15.0,
    start_stall_timeout_s: float = 60.0,
    memory: MemorySources | None = None,
    max_concurrent_tasks: int = 8,
    observation: Observation | None = None,
    watching: Sequence[GroupObserver] = (),
) -> AsyncGenerator[RunningGroup]:
    """Start a group and stop it at the end, however the test ends; its processes are then gone."""
    environment = {
        **os.environ,
        "FAULT_ENGINE_FAULTS": json.dumps(list(faults)),
        "FAULT_ENGINE_SCRIPT": json.dumps(script or {}),
    }
    spec = GroupSpec(
        model_id="scripted",
        model_path=model_path,
        world_size=world_size,
        parallel="tensor",
        backend=backend,
        engine=engine,
        node="here",
        work_folder=folder,
        environment=environment,
        max_concurrent_tasks=max_concurrent_tasks,
        stall_timeout_s=stall_timeout_s,
        stall_floor_s=stall_floor_s,
        start_stall_timeout_s=start_stall_timeout_s,
    )
    policy = RestartPolicy(restart or RestartLimits(first_delay_s=0.05, intensity=20))
    limits = RunnerLimits(
        lifecycle=lifecycle or LifecycleLimits(start_timeout_s=30.0, fatal_grace_s=0.5),
        drain_deadline_s=drain_deadline_s,
        memory=memory or MemorySources(),
    )
    recorder = Recorder()
    group = Group(world_size, GroupLimits(), policy)
    with Guard() as guard:
        starter = LocalStarter(spec, limits, guard)
        observers = GroupObservers(recorder, *watching)
        supervisor = GroupSupervisor(spec, group, starter, observers, observation=observation)
        async with _run_until_left(supervisor):
            yield RunningGroup(supervisor, recorder)


@asynccontextmanager
async def _run_until_left(supervisor: GroupSupervisor) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def run() -> None:
            try:
                await supervisor.run()
            finally:
                ended.set()

        tasks.start_soon(run)
        try:
            yield
        finally:
            if not ended.is_set():
                supervisor.stop()
            with anyio.CancelScope(shield=True), anyio.fail_after(30):
                while supervisor.group.state is not GroupState.STOPPED and not ended.is_set():
                    await supervisor.changed()
            tasks.cancel_scope.cancel()


async def each_event(stream: BufferedTaskStream) -> AsyncGenerator[TaskEvent]:
    """The events of a task, one by one, to its end."""
    while events := await stream.take():
        for event in events:
            yield event


async def listen(
    stream: BufferedTaskStream, tokens: int | None = None, deadline_s: float = DEADLINE_S
) -> list[TaskEvent]:
    """Hear a task to its end, or until it has so many tokens."""
    heard: list[TaskEvent] = []
    with anyio.fail_after(deadline_s):
        while events := await stream.take():
            heard += events
            if tokens is not None and sum(isinstance(one, TokenChunk) for one in heard) >= tokens:
                break
    return heard


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return when a condition holds that no change of state announces."""
    with anyio.move_on_after(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.01)
        return
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


def the_error(events: Sequence[TaskEvent]) -> ErrorChunk:
    """The terminal event, which is the only one and an error."""
    assert [isinstance(event, TERMINAL_EVENTS) for event in events].count(True) == 1
    assert isinstance(events[-1], ErrorChunk), events[-1]
    return events[-1]


def is_gone(pid: int) -> bool:
    """True when no process has this pid, not even a zombie."""
    return not psutil.pid_exists(pid)
