"""The supervisor as the HTTP surface sees it: one group on this node."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import msgspec

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.channel_end import ChannelFull
from supervisor.group_supervisor import GroupSupervisor
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.observation import ObserverFailed
from supervisor.task_stream import BufferedTaskStream
from transports.framing import FrameViolation
from transports.http.figures import ServiceFigures
from transports.http.gateway import (
    ClusterView,
    GroupState,
    ModelView,
    NodeView,
    RankView,
    Refusal,
    RefusalCode,
)
from transports.messages import Prompt, SamplingParameters


class LocalGateway:
    """Implements `transports.http.gateway.Gateway`.

    Args:
        group: The one group that is served.
        incidents: What `/incidents` shows.
        max_open_tasks: Tasks in flight and waiting, together; one more is refused.
        admission_wait_s: How long a request may wait for a group that starts or restarts.
        nodes: The nodes of the cluster; none for a group on this machine alone.
    """

    def __init__(
        self,
        group: GroupSupervisor,
        incidents: RecentIncidents,
        *,
        max_open_tasks: int,
        admission_wait_s: float,
        nodes: Callable[[], tuple[NodeView, ...]] = tuple,
    ) -> None:
        self._group = group
        self._incidents = incidents
        self._max_open_tasks = max_open_tasks
        self._admission_wait_s = admission_wait_s
        self._nodes = nodes
        self._created = int(time.time())
        self._waiting = 0

    def models(self) -> tuple[ModelView, ...]:
        """The one model."""
        facts = self._group.facts
        return (ModelView(self._group.spec.model_id, self._created, facts.context_tokens if facts else None),)

    def cluster(self) -> ClusterView:
        """The group as it is now."""
        spec, machine = self._group.spec, self._group.group
        return ClusterView(
            model=spec.model_id,
            state=machine.state,
            generation=machine.generation,
            world_size=spec.world_size,
            parallel=spec.parallel,
            backend=spec.backend,
            ranks=self._rank_views(),
            tasks_in_flight=len(self._group.tasks),
            restarts=machine.restarts,
            reason=machine.reason,
            restart_in_s=self._group.restart_in_s,
            last_incident_id=self._group.incident.incident_id if self._group.incident else None,
            nodes=self._nodes(),
            figures=self.figures(),
        )

    def figures(self) -> ServiceFigures:
        """Those of the group's tasks; who waits for the group is queued, too."""
        figures = self._group.tasks.statistics.figures(time.monotonic())
        return msgspec.structs.replace(figures, queued=figures.queued + self._waiting)

    def _rank_views(self) -> tuple[RankView, ...]:
        if self._group.group.state is GroupState.DEGRADED:
            return ()  # Nothing has a place, so there are no ranks to show.
        return tuple(self._rank_view(rank) for rank in range(self._group.spec.world_size))

    def _rank_view(self, rank: int) -> RankView:
        spec, generation = self._group.spec, self._group.group.generation
        runner = self._group.runners.get(rank)
        if runner is None:
            state = Phase.SHUTDOWN if self._group.group.state is GroupState.STOPPED else Phase.FAILED
            return RankView(rank, None, spec.node, state, generation)
        footprint = runner.footprint_bytes
        return RankView(rank, runner.pid, runner.node, runner.phase, generation, runner.progress, footprint)

    def ready(self) -> bool:
        """True when the group serves."""
        return self._group.group.state is GroupState.READY

    def incidents(self) -> tuple[Incident, ...]:
        """Newest first."""
        return self._incidents.newest_first()

    def incident(self, incident_id: str) -> Incident | None:
        """One incident, by its id. Blocks on the disk when it is an old one; thread-safe."""
        return self._incidents.get(incident_id)

    @asynccontextmanager
    async def submit(
        self,
        model: str,
        prompt: Prompt,
        sampling: SamplingParameters,
        request_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[BufferedTaskStream]:
        """Give a task to the group; leaving early cancels it. Waits, bounded, for a group that is not ready.

        Raises:
            Refusal: On entering, when the group cannot be asked, or an observer does not let the task begin.
        """
        self._check_model(model)
        await self._until_ready()
        try:
            stream = self._group.start_task(request_id, prompt, sampling, metadata)
        except (ChannelFull, FrameViolation) as exc:
            raise Refusal(
                RefusalCode.QUEUE_FULL, f"The runner cannot take the request: {exc}.", retry_after_s=5
            ) from exc
        except ObserverFailed as exc:
            raise Refusal(RefusalCode.TASK_FAILED, f"The request was not started: {exc}.") from exc
        try:
            yield stream
        finally:
            self._group.leave_task(stream.task_id)

    def _check_model(self, model: str) -> None:
        served = self._group.spec.model_id
        if model != served:
            raise Refusal(
                RefusalCode.MODEL_NOT_FOUND, f"The model {model!r} is not served here; the one that is: {served!r}."
            )

    async def _until_ready(self) -> None:
        if len(self._group.tasks) + self._waiting >= self._max_open_tasks:
            message = f"{self._max_open_tasks} requests are in flight or waiting already; send this one again later."
            raise Refusal(RefusalCode.QUEUE_FULL, message, retry_after_s=1)
        self._waiting += 1
        try:
            with anyio.move_on_after(self._admission_wait_s):
                while not self.ready():
                    self._refuse_if_hopeless()
                    await self._group.changed()
        finally:
            self._waiting -= 1
        if not self.ready():
            raise self._not_ready()

    def _refuse_if_hopeless(self) -> None:
        if self._group.group.state in (GroupState.FAILED, GroupState.STOPPING, GroupState.STOPPED):
            raise self._not_ready()

    def _not_ready(self) -> Refusal:
        group, incident = self._group.group, self._group.incident
        match group.state:
            case GroupState.FAILED:
                return Refusal(RefusalCode.CLUSTER_DEGRADED, group.reason or "The group has failed.", incident=incident)
            case GroupState.STOPPING | GroupState.STOPPED:
                return Refusal(RefusalCode.CLUSTER_DEGRADED, "The service is shutting down.", incident=incident)
            case GroupState.DEGRADED:
                message = group.reason or "The model has no place on the nodes that are there."
                return Refusal(RefusalCode.CLUSTER_DEGRADED, message, retry_after_s=30, incident=incident)
            case GroupState.STARTING | GroupState.READY:
                message = f"The model {self._group.spec.model_id!r} is still loading."
                return Refusal(RefusalCode.MODEL_LOADING, message, retry_after_s=self._group.expected_wait_s)
            case GroupState.RESTARTING:
                message = f"The group is restarting after a failure. {group.reason or ''}".strip()
                wait_s = self._group.expected_wait_s
                return Refusal(RefusalCode.RUNNER_RESTARTING, message, retry_after_s=wait_s, incident=incident)
