"""The owner of one group on this node: carries out what the group machine decides.

Everything runs on one event loop and every machine call is synchronous, so nothing here needs a lock: the machine
and the ledger see every event in the order in which it happened.
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, assert_never

import anyio
from anyio.abc import TaskGroup

from diagnostics.incident import DeathCertificate, Incident
from supervisor.capture.captures import Captures
from supervisor.core import group_messages as machine
from supervisor.core.deadlines import Deadline
from supervisor.core.group import Group
from supervisor.current_incident import CurrentIncident
from supervisor.generation_start import CannotPlace, CannotStart, GenerationStarter
from supervisor.group_ranks import GroupRanks, over_nodes
from supervisor.group_tasks import GroupTasks
from supervisor.launch import GroupSpec
from supervisor.observation import Observation
from supervisor.observers import GroupObserver
from supervisor.rank_handle import RankHandle
from supervisor.rank_reports import RankReports
from supervisor.stall_watch import StallWatch
from supervisor.start_watch import StartWatch
from supervisor.task_stream import BufferedTaskStream
from transports.http.gateway import GroupState
from transports.messages import ModelFacts, Prompt, SamplingParameters, StartTask

_STOPPED_MEANWHILE = "The group was stopped while it started."


class GroupSupervisor:
    """Runs one group until it is stopped. One use: `run` once.

    Args:
        spec: What the group serves; each generation may be placed differently.
        group: The policy machine, not started.
        starter: Prepares the ranks of each generation.
        observer: Who is told.
        observation: Who is told about runs and tasks, and where their records go; nobody and nowhere by default.
    """

    def __init__(
        self,
        spec: GroupSpec,
        group: Group,
        starter: GenerationStarter,
        observer: GroupObserver,
        *,
        observation: Observation | None = None,
    ) -> None:
        self.spec = spec
        self.group = group
        self.runners = GroupRanks()
        self._captures = Captures(observation or Observation(run_id=""), model=spec.model_id)
        self.tasks = GroupTasks(self._captures, spec.max_concurrent_tasks, self.runners.cancel_task)
        self._stalls = StallWatch(
            spec.stall_timeout_s, self.runners, floor_s=spec.stall_floor_s, start_limit_s=spec.start_stall_timeout_s
        )
        self._starts = StartWatch(self.runners)
        self._reports = RankReports(group, self._feed, self.runners, self.tasks, self._stalls, self._starts, observer)
        self._starter = starter
        self._observer = observer
        self._preparing: anyio.CancelScope | None = None
        self._task_group: TaskGroup | None = None
        self._incident = CurrentIncident(spec, observer)
        self._changed = anyio.Event()
        self._started_at = time.monotonic()
        self._start_s = 1.0

    async def run(self) -> None:
        """Start the group and keep it going; returns when it was stopped. Cancelling it kills the runners.

        Raises:
            ObserverFailed: Under `FAIL_FAST` only; the runners are killed.
        """
        await self._captures.observe(self._run)

    async def _run(self) -> None:
        async with anyio.create_task_group() as task_group:
            self._task_group = task_group
            task_group.start_soon(self._stalls.watch)
            task_group.start_soon(self._starts.watch)
            task_group.start_soon(self.tasks.run)
            task_group.start_soon(self._begin)
            await self._keep_deadlines()
            task_group.cancel_scope.cancel()

    def stop(self) -> None:
        """End the group for good. Tasks in flight end with an incident that says so. Returns at once."""
        if len(self.tasks):
            self._end_tasks(self._incident.declare_stopped(self.group.generation, self.tasks.open_ids()))
        self._stalls.end()
        self._feed(machine.Stop())

    async def changed(self) -> None:
        """Return at the next change of the group's state."""
        await self._changed.wait()

    @property
    def incident(self) -> Incident | None:
        """The newest incident."""
        return self._incident.newest

    @property
    def restart_in_s(self) -> float | None:
        """Seconds until the next generation starts, while one is waited for."""
        if self.runners or self.group.deadline is None:
            return None
        return max(0.0, self.group.deadline - time.monotonic())

    @property
    def expected_wait_s(self) -> float:
        """How long until the group serves, judged by its last start."""
        return (self.restart_in_s or 0.0) + self._start_s

    def start_task(
        self,
        wanted_id: str,
        prompt: Prompt,
        sampling: SamplingParameters,
        metadata: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> BufferedTaskStream:
        """Give a task to rank 0 and wake the others for it. The group must be ready. No runner sees the metadata.

        When the deadline comes, the task ends as stopped.

        Raises:
            ObserverFailed: An observer does not let it begin.
            ChannelFull: When a runner leaves too many commands unread.
            FrameViolation: When the task is larger than a frame.
        """
        stream = self.tasks.open(wanted_id, self.group.generation, metadata or {}, deadline)
        try:
            self.runners.start_task(StartTask(stream.task_id, prompt, sampling))
        except Exception as exc:
            self.tasks.withdraw(stream.task_id, exc)
            raise
        self._reports.count_tasks()
        return stream

    def leave_task(self, task_id: str) -> None:
        """The listener of a task is gone: cancel the task if it is still in flight."""
        if self.tasks.forget(task_id):
            self.runners.cancel_task(task_id)

    @property
    def facts(self) -> ModelFacts | None:
        """What the newest runners said of their model."""
        return self._reports.facts

    def place_again(self) -> None:
        """Nodes have changed: a group that had no place may have one now."""
        self._feed(machine.PlaceAgain())

    # --- what the machine decides ---

    def _feed(self, group_input: machine.GroupInput) -> None:
        before = self.group.state
        for action in self.group.handle(group_input, time.monotonic()):
            self._carry_out(action)
        self._changed.set()
        self._changed = anyio.Event()
        if self.group.state is not before:
            self._observer.on_state(self.group.state, self.group.reason)

    async def _keep_deadlines(self) -> None:
        while self.group.state is not GroupState.STOPPED:
            changed = self._changed
            deadline = self.group.deadline
            with anyio.move_on_after(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await changed.wait()
                continue
            self._feed(machine.Tick())

    def _carry_out(self, action: machine.GroupAction) -> None:
        match action:
            case machine.StartGeneration(generation):
                self._spawn(self._start_generation, generation)
            case machine.BecomeReady():
                self._became_ready()
            case machine.DeclareVerdict():
                incident = self._incident.declare(action, self.tasks.open_ids(), self._start_s)
                self._captures.crashed(incident)
                self._end_tasks(incident)
            case machine.AddCertificate(certificate):
                self._incident.add(certificate)
            case machine.ReleaseRanks(ranks, gracefully):
                if self._preparing is not None:
                    self._preparing.cancel()
                self.runners.release(ranks, gracefully=gracefully)
            case machine.Abandon(reason):
                self._incident.all_gone()
                self._abandon(reason)
            case machine.AwaitRestart() | machine.Stopped():
                self._incident.all_gone()
            case _:
                assert_never(action)

    def _abandon(self, reason: str) -> None:
        """Mostly all ranks are gone by now. If not, nobody waits for a verdict that cannot come."""
        if len(self.tasks):
            self._end_tasks(self._incident.declare_abandoned(self.group.generation, self.tasks.open_ids(), reason))
        self.runners.release(tuple(self.runners), gracefully=False)

    async def _begin(self) -> None:
        earlier = await self._starter.earlier(self._reports)
        if earlier.deaths:
            self._incident.declare_unseen(earlier.deaths, self._start_s)
        if earlier.running is None:
            self._feed(machine.Start(earlier.last_generation))
            return
        self.spec, ranks = earlier.running
        spans = over_nodes(ranks)
        self._incident.begin_generation(self.spec, over_nodes=spans)
        self._observer.on_generation(earlier.last_generation, self.spec.model_id, len(ranks))
        self._feed(machine.Adopt(earlier.last_generation, len(ranks), spans))
        self._run_ranks(ranks)
        self._stalls.begin()

    async def _start_generation(self, generation: int) -> None:
        self._started_at = time.monotonic()
        with anyio.CancelScope() as self._preparing:
            if self._was_stopped(generation):
                return
            try:
                self.spec, ranks = await self._starter.prepare(generation, self._reports)
            except CannotPlace as exc:
                self._feed(machine.CannotPlace(generation, str(exc)))
            except CannotStart as exc:
                self._begin_generation(generation, exc.certificates)
                for certificate in exc.certificates:
                    self._rank_died(certificate)
            else:
                if self._was_stopped(generation):
                    return
                self._begin_generation(generation, ranks)
                self._run_ranks(ranks)
                self._stalls.begin_start()
                self._starts.begin()
        if self._preparing.cancelled_caught:
            self._feed(machine.CannotPlace(generation, _STOPPED_MEANWHILE))
        self._preparing = None

    def _was_stopped(self, generation: int) -> bool:
        """A stop may come when there is nothing yet to cancel, or nothing any more."""
        if self.group.state is not GroupState.STOPPING:
            return False
        self._preparing = None
        self._feed(machine.CannotPlace(generation, _STOPPED_MEANWHILE))
        return True

    def _begin_generation(self, generation: int, ranks: Sequence[RankHandle] | Sequence[DeathCertificate]) -> None:
        spans = over_nodes(ranks)
        self._incident.begin_generation(self.spec, over_nodes=spans)
        self._observer.on_generation(generation, self.spec.model_id, len(ranks))
        self._feed(machine.Placed(generation, len(ranks), spans))

    def _run_ranks(self, ranks: Sequence[RankHandle]) -> None:
        self._captures.begin_generation([handle.node for handle in ranks])
        for handle in ranks:
            self.runners[handle.rank] = handle
            self._spawn(self._run_rank, handle)

    async def _run_rank(self, handle: RankHandle) -> None:
        self._rank_died(await handle.run())
        later = await handle.late_certificate()
        if later is not None:
            self._incident.amend(later)

    def _rank_died(self, certificate: DeathCertificate) -> None:
        self.runners.pop(certificate.rank, None)
        self._starts.died(certificate.rank)
        self.tasks.rank_gone(certificate)
        if self.group.state is not GroupState.STOPPING:
            self._incident.runner_failed(certificate)
        self._feed(machine.RankDied(certificate))

    def _became_ready(self) -> None:
        self._start_s = time.monotonic() - self._started_at
        self._stalls.begin()
        self._incident.recovered()

    def _end_tasks(self, incident: Incident) -> None:
        self._stalls.end()
        self._stalls.busy(is_busy=False)
        self.tasks.fail_all(incident)

    def _spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        if self._task_group is None:
            raise RuntimeError("the group is not running; call run() first")
        self._task_group.start_soon(function, *arguments)
