"""What the HTTP surface needs from the supervisor. The composition root hands an implementation over."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from diagnostics.incident import Incident
from diagnostics.phase import Phase
from transports.http.figures import ServiceFigures
from transports.http.request_view import CancelledView, RequestView
from transports.messages import Prompt, SamplingParameters, TaskEvent


class RefusalCode(StrEnum):
    """Why a request was not even given to a runner."""

    MODEL_NOT_FOUND = "model_not_found"
    MODEL_LOADING = "model_loading"
    RUNNER_RESTARTING = "runner_restarting"
    CLUSTER_DEGRADED = "cluster_degraded"
    SERVICE_STOPPING = "service_stopping"
    QUEUE_FULL = "queue_full"
    TASK_FAILED = "task_failed"
    REQUEST_CANCELLED = "request_cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"


class Refusal(Exception):
    """The supervisor refuses a request before any runner saw it.

    Args:
        code: Why.
        message: One sentence for the client.
        retry_after_s: When a retry may help; None when it will not without an operator.
        incident: The incident that is behind it, when there is one.
    """

    def __init__(
        self, code: RefusalCode, message: str, *, retry_after_s: float | None = None, incident: Incident | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.incident = incident


class RankView(msgspec.Struct, frozen=True):
    """One rank as `/cluster` and `ringwarden ps` show it. `pid` is None while no process runs.

    `footprint_bytes` is the memory that it holds; None where that is not known, as of ranks on other nodes.
    """

    rank: int
    pid: int | None
    node: str
    state: Phase
    generation: int
    progress: str | None = None
    footprint_bytes: int | None = None


class NodeView(msgspec.Struct, frozen=True):
    """One node of a cluster as `/cluster` and `ringwarden ps` show it.

    `heard_s_ago` is None for the head's own machine; `reason` says why a node is not there, or what differs on it.
    """

    node: str
    is_here: bool
    hostname: str
    system: str
    chip: str
    memory_bytes: int
    heard_s_ago: float | None = None
    reason: str | None = None


class GroupState(StrEnum):
    """What a group does now. `FAILED` is final until an operator acts; `reason` in the view says why.

    `DEGRADED` waits for a node: the model has no place on those that are there.
    """

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    DEGRADED = "degraded"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ClusterView(msgspec.Struct, frozen=True):
    """The whole of one group: what `/cluster` prints. `restart_in_s` counts down while `RESTARTING`."""

    model: str
    state: GroupState
    generation: int
    world_size: int
    parallel: str
    backend: str
    ranks: tuple[RankView, ...]
    tasks_in_flight: int
    restarts: int
    reason: str | None = None
    restart_in_s: float | None = None
    last_incident_id: str | None = None
    nodes: tuple[NodeView, ...] = ()
    figures: ServiceFigures | None = None


class ModelView(msgspec.Struct, frozen=True):
    """One served model. `created` is seconds since the epoch, `context_tokens` None until a runner has loaded it.

    `calls_tools` and `thinks` are as in `ModelFacts`, and false until then. Clients may ask by the `aliases`, too.
    """

    model_id: str
    created: int
    context_tokens: int | None
    calls_tools: bool = False
    thinks: bool = False
    aliases: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """Whether a client that names `name` means this model."""
        return name == self.model_id or name in self.aliases


class IncidentsView(msgspec.Struct, frozen=True):
    """What `/incidents` prints: newest first, bounded."""

    incidents: tuple[Incident, ...]


class TaskStream(Protocol):
    """The events of one submitted task, ending with exactly one terminal event."""

    @property
    def task_id(self) -> str: ...

    async def take(self) -> Sequence[TaskEvent]:
        """Return what has come since the last call, in order: at least one event, waiting for it if need be.

        Empty once the terminal event was taken. Cancelling it loses nothing. One reader only.
        """
        ...


class Gateway(Protocol):
    """The supervisor as HTTP handlers see it. All but `incident` is called from the event loop and never blocks it."""

    def models(self) -> tuple[ModelView, ...]: ...

    def cluster(self) -> ClusterView: ...

    def figures(self) -> ServiceFigures:
        """How the service does. For people who look, a few times a second at most."""
        ...

    def ready(self) -> bool:
        """True when a request sent now would be computed."""
        ...

    def incidents(self) -> tuple[Incident, ...]:
        """Newest first, bounded."""
        ...

    def incident(self, incident_id: str) -> Incident | None:
        """One incident. May block on a disk, so it is called from a worker thread."""
        ...

    def submit(
        self,
        model: str,
        prompt: Prompt,
        sampling: SamplingParameters,
        request_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> AbstractAsyncContextManager[TaskStream]:
        """Give a task to the runners. Leaving the context before the terminal event cancels the task.

        The metadata is kept with what is recorded about the task; no runner sees it. `timeout_s` is how long the
        request may take in all; when it is over, the stream ends with `TaskStopped`.

        Entering waits while a group restarts, for a bounded time.

        Raises:
            Refusal: On entering, when no runner can be asked.
        """
        ...

    def requests(self) -> tuple[RequestView, ...]:
        """Those that are open, oldest first."""
        ...

    def cancel(self, request_id: str) -> CancelledView | None:
        """End one open request by its id; whoever waits for it hears an error. None when there is none."""
        ...
