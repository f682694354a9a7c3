"""Looks at ranks that stopped moving: dumps the stacks of all, finds the one that is behind, condemns it."""

import time
from collections.abc import Mapping

import anyio
import psutil

from diagnostics.cause import Cause
from diagnostics.evidence import SupervisorFinding
from supervisor.core.watchdog import ProgressWatchdog, RankObservation, ranks_behind
from supervisor.runner_supervisor import RunnerSupervisor

# Long enough for a stack dump to be written and for a spinning process to be told from a waiting one.
_OBSERVATION_S = 0.5


class StallWatch:
    """The shell of the progress watchdog. Used from the event loop.

    Args:
        limit_s: Longest silence of a rank while a task is in flight.
        runners: The living runners by rank; changes as they come and go.
    """

    def __init__(self, limit_s: float, runners: Mapping[int, RunnerSupervisor]) -> None:
        self._limit_s = limit_s
        self._watchdog = ProgressWatchdog(limit_s)
        self._runners = runners
        self._changed = anyio.Event()

    def begin(self) -> None:
        """All runners are ready."""
        self._watchdog.begin(len(self._runners), time.monotonic())
        self._wake()

    def end(self) -> None:
        """The generation is over."""
        self._watchdog.end()

    def busy(self, *, is_busy: bool) -> None:
        """Say whether a task is in flight."""
        self._watchdog.busy(time.monotonic(), is_busy=is_busy)
        self._wake()

    def moved(self, rank: int) -> None:
        """A rank reported progress."""
        self._watchdog.moved(rank, time.monotonic())

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def watch(self) -> None:
        """Judge every stall, until cancelled."""
        while True:
            changed, deadline = self._changed, self._watchdog.deadline
            with anyio.move_on_after(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await changed.wait()
                continue
            if self._watchdog.is_stalled(time.monotonic()):
                await self._judge()

    async def _judge(self) -> None:
        suspects = dict(self._runners)
        for runner in suspects.values():
            runner.dump_stacks()
        before = {rank: _cpu_seconds(runner.pid) for rank, runner in suspects.items()}
        await anyio.sleep(_OBSERVATION_S)
        if not self._watchdog.is_stalled(time.monotonic()):
            return
        observations = [_observe(rank, runner, before[rank]) for rank, runner in suspects.items()]
        for rank in ranks_behind(observations):
            seen = next(observation for observation in observations if observation.rank == rank)
            suspects[rank].condemn(SupervisorFinding(Cause.STALLED, self._message(seen)))
        self._watchdog.end()

    def _message(self, seen: RankObservation) -> str:
        how = "its process is stopped" if seen.stopped else f"it stands at step {seen.step}"
        return f"made no progress for {self._limit_s:g} s while requests were in flight; {how}"


def _observe(rank: int, runner: RunnerSupervisor, cpu_before: float | None) -> RankObservation:
    cpu_after = _cpu_seconds(runner.pid)
    share = None if cpu_before is None or cpu_after is None else (cpu_after - cpu_before) / _OBSERVATION_S
    return RankObservation(rank, runner.step, _is_stopped(runner.pid), share)


def _cpu_seconds(pid: int | None) -> float | None:
    try:
        times = psutil.Process(pid or 0).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def _is_stopped(pid: int | None) -> bool:
    try:
        return psutil.Process(pid or 0).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False
