"""The supervisor as the HTTP surface sees it: one group on this node."""

import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import msgspec

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from supervisor.channel_end import ChannelFull
from supervisor.group_supervisor import GroupSupervisor
from supervisor.journal.recent_incidents import RecentIncidents
from supervisor.observation import ObserverFailed
from supervisor.open_requests import OpenRequest, OpenRequests
from supervisor.request_views import request_views
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
from transports.http.request_view import CancelledView, RequestView
from transports.messages import Prompt, SamplingParameters, StopReason

_CANCELLED = "The request was cancelled by its id before its answer was complete."


class LocalGateway:
    """Implements `transports.http.gateway.Gateway`.

    Args:
        group: The one group that is served.
        incidents: What `/incidents` shows.
        max_open_tasks: Tasks in flight and waiting, together; one more is refused.
        admission_wait_s: How long a request may wait for a group that starts or restarts.
        request_timeout_s: The longest that a request may take in all, if there is such a limit.
        nodes: The nodes of the cluster; none for a group on this machine alone.
        model_aliases: Other names under which clients may ask for the model.
    """

    def __init__(
        self,
        group: GroupSupervisor,
        incidents: RecentIncidents,
        *,
        max_open_tasks: int,
        admission_wait_s: float,
        request_timeout_s: float | None = None,
        nodes: Callable[[], tuple[NodeView, ...]] = tuple,
        model_aliases: Collection[str] = (),
    ) -> None:
        self._group = group
        self._incidents = incidents
        self._max_open_tasks = max_open_tasks
        self._admission_wait_s = admission_wait_s
        self._nodes = nodes
        self._model_aliases = model_aliases
        self._created = int(time.time())
        self._request_timeout_s = request_timeout_s
        self._requests = OpenRequests(group.tasks.__contains__)

    def models(self) -> tuple[ModelView, ...]:
        """The one model."""
        view = ModelView(self._group.spec.model_id, self._created, None, aliases=tuple(self._model_aliases))
        facts = self._group.facts
        if facts is None:
            return (view,)
        known = {"context_tokens": facts.context_tokens, "calls_tools": facts.calls_tools, "thinks": facts.thinks}
        return (msgspec.structs.replace(view, **known),)

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
        return msgspec.structs.replace(figures, queued=figures.queued + self._requests.waiting)

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
        timeout_s: float | None = None,
    ) -> AsyncGenerator[BufferedTaskStream]:
        """Give a task to the group; leaving early cancels it. Waits, bounded, for a group that is not ready.

        Raises:
            Refusal: On entering, when the group cannot be asked, or an observer does not let the task begin.
        """
        self._check_model(model)
        self._check_room()
        timeouts_s = [one for one in (timeout_s, self._request_timeout_s) if one is not None]
        request = self._requests.open(request_id, model, metadata or {}, min(timeouts_s, default=None))
        try:
            await self._until_ready(request)
            stream = self._start(request, prompt, sampling)
            try:
                yield stream
            finally:
                self._group.leave_task(stream.task_id)
        finally:
            self._requests.close(request)

    def requests(self) -> tuple[RequestView, ...]:
        """Those that are open, oldest first."""
        return request_views(self._requests, self._group.tasks.progress(), time.monotonic())

    def cancel(self, request_id: str) -> CancelledView | None:
        """End one open request by its id; None when there is none."""
        request = self._requests.get(request_id)
        if request is None:
            return None
        if request.task_id is None:
            request.cancel_waiting()
            return CancelledView(request_id, 0)
        stopped = self._group.tasks.stop(request.task_id, StopReason.REQUEST_CANCELLED, _CANCELLED)
        return None if stopped is None else CancelledView(request_id, stopped.tokens_emitted)

    def _start(self, request: OpenRequest, prompt: Prompt, sampling: SamplingParameters) -> BufferedTaskStream:
        try:
            stream = self._group.start_task(
                request.request_id, prompt, sampling, request.metadata, deadline=request.deadline
            )
        except (ChannelFull, FrameViolation) as exc:
            raise Refusal(
                RefusalCode.QUEUE_FULL, f"The runner cannot take the request: {exc}.", retry_after_s=5
            ) from exc
        except ObserverFailed as exc:
            raise Refusal(RefusalCode.TASK_FAILED, f"The request was not started: {exc}.") from exc
        request.task_id = stream.task_id
        self._group.tasks.statistics.waited_since(stream.task_id, request.received_at)
        return stream

    def _check_model(self, model: str) -> None:
        served = self._group.spec.model_id
        if model != served and model not in self._model_aliases:
            raise Refusal(
                RefusalCode.MODEL_NOT_FOUND, f"The model {model!r} is not served here; the one that is: {served!r}."
            )

    def _check_room(self) -> None:
        if len(self._group.tasks) + self._requests.waiting >= self._max_open_tasks:
            message = f"{self._max_open_tasks} requests are in flight or waiting already; send this one again later."
            wait_s = self._group.tasks.pace.seconds_per_end if self.ready() else self._group.expected_wait_s
            raise Refusal(RefusalCode.QUEUE_FULL, message, retry_after_s=wait_s)

    async def _until_ready(self, request: OpenRequest) -> None:
        deadline = request.deadline
        own_s = self._admission_wait_s if deadline is None else deadline.at - time.monotonic()
        wait_s = min(own_s, self._admission_wait_s)
        await self._requests.wait(request, wait_s, self._has_to_wait, self._group.changed)
        if request.cancelled:
            raise Refusal(RefusalCode.REQUEST_CANCELLED, _CANCELLED)
        if self.ready():
            return
        if deadline is not None and wait_s == own_s:
            message = deadline.sentence("the runners did not become ready in it")
            raise Refusal(RefusalCode.DEADLINE_EXCEEDED, message)
        raise self._not_ready()

    def _has_to_wait(self) -> bool:
        if self._group.group.state in (GroupState.FAILED, GroupState.STOPPING, GroupState.STOPPED):
            raise self._not_ready()
        return not self.ready()

    def _not_ready(self) -> Refusal:
        group, incident = self._group.group, self._group.incident
        match group.state:
            case GroupState.FAILED:
                return Refusal(RefusalCode.CLUSTER_DEGRADED, group.reason or "The group has failed.", incident=incident)
            case GroupState.STOPPING | GroupState.STOPPED:
                message = "The service is stopping. Send the request again when it is back."
                return Refusal(RefusalCode.SERVICE_STOPPING, message, retry_after_s=self._group.expected_wait_s)
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
