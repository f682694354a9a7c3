"""A gateway whose tasks do what each test scripts. It stands for the supervisor: the boundary, not the thing tested."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType

import anyio
import anyio.to_thread

from diagnostics.cause import Cause
from diagnostics.incident import Confidence, Incident
from diagnostics.phase import Phase
from supervisor.core.failure_statistics import FailureStatistics
from supervisor.core.task_statistics import TaskStatistics
from supervisor.live.hub import LiveHub
from supervisor.metrics.exporter import MetricsExporter
from transports.http.figures import ServiceFigures
from transports.http.gateway import ClusterView, GroupState, ModelView, RankView, Refusal
from transports.http.request_view import CancelledView, RequestView
from transports.messages import (
    TERMINAL_EVENTS,
    ErrorChunk,
    Prompt,
    SamplingParameters,
    TaskAccepted,
    TaskEvent,
    TaskFinished,
    TokenChunk,
    ToolCallChunk,
)

DEADLINE_S = 20.0
MODEL = "tiny"
TASK = "task-1"

INCIDENT = Incident(
    incident_id="inc-7",
    occurred_at=1_700_000_000.0,
    node="node-a",
    rank=1,
    generation=3,
    cause=Cause.KILLED_NO_STDERR,
    phase=Phase.RUNNING,
    confidence=Confidence.CERTAIN,
    message="Rank 1 on node-a was killed by SIGKILL and wrote nothing about it.",
    advice="Look for an out-of-memory kill in the system log.",
    retryable=True,
    next_step="The group starts again as generation 4.",
)

Script = Callable[["Gate"], AsyncIterator[TaskEvent]]


class Gate:
    """Something that a test does and a script waits for."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    async def wait(self) -> None:
        opened = await anyio.to_thread.run_sync(self._opened.wait, DEADLINE_S, abandon_on_cancel=True)
        assert opened, "the test never opened the gate"


class Submission:
    """What the HTTP surface asked for, and how it left. `left` and `cancelled` are read by the test's thread."""

    def __init__(
        self, model: str, prompt: Prompt, sampling: SamplingParameters, request_id: str, metadata: dict[str, str]
    ) -> None:
        self.metadata = metadata
        self.timeout_s: float | None = None
        self.model = model
        self.prompt = prompt
        self.sampling = sampling
        self.request_id = request_id
        self.entered = threading.Event()
        self.left = threading.Event()
        self.cancelled = False


class ScriptedGateway:
    """Plays one script for every submitted task."""

    def __init__(self, script: Script | None = None, refusal: Refusal | None = None) -> None:
        self.script = script or answer("Hello", " world")
        self.refusal = refusal
        self.gate = Gate()
        self.enter_gate: Gate | None = None
        self.submissions: list[Submission] = []
        self.submitted = threading.Event()
        self.open_requests: tuple[RequestView, ...] = ()
        self.is_ready = True
        self.state = GroupState.READY
        self.live = LiveHub()
        self.statistics = TaskStatistics(1)
        self.metrics = MetricsExporter(self, self.statistics, FailureStatistics("node-a"))

    def models(self) -> tuple[ModelView, ...]:
        return (ModelView(MODEL, 1_700_000_000, 2048), ModelView("org/other", 1_700_000_000, None, aliases=("other",)))

    def figures(self) -> ServiceFigures:
        """Nothing is counted here."""
        return self.statistics.figures(0.0)

    def cluster(self) -> ClusterView:
        ranks = tuple(RankView(rank, 100 + rank, "node-a", Phase.READY, 3) for rank in (0, 1))
        return ClusterView(MODEL, self.state, 3, 2, "tensor", "ring", ranks, 0, 1, reason="scripted", restart_in_s=4.2)

    def ready(self) -> bool:
        return self.is_ready

    def incidents(self) -> tuple[Incident, ...]:
        return (INCIDENT,)

    def incident(self, incident_id: str) -> Incident | None:
        return INCIDENT if incident_id == INCIDENT.incident_id else None

    def requests(self) -> tuple[RequestView, ...]:
        return self.open_requests

    def cancel(self, request_id: str) -> CancelledView | None:
        is_open = any(view.id == request_id for view in self.open_requests)
        return CancelledView(request_id, 3) if is_open else None

    def submit(
        self,
        model: str,
        prompt: Prompt,
        sampling: SamplingParameters,
        request_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> "_Context":
        submission = Submission(model, prompt, sampling, request_id, dict(metadata or {}))
        submission.timeout_s = timeout_s
        self.submissions.append(submission)
        self.submitted.set()
        return _Context(self, submission)


MAX_UNREAD_EVENTS = 1000


class _Context:
    """The context of one task, and its stream."""

    def __init__(self, gateway: ScriptedGateway, submission: Submission) -> None:
        self._gateway = gateway
        self._submission = submission
        self._terminal_seen = False
        self._events: list[TaskEvent] = []
        self._moved = asyncio.Event()
        self._taken = asyncio.Event()
        self._failure: Exception | None = None
        self._over = False
        self._playing: asyncio.Task[None] | None = None
        self.task_id = TASK

    async def __aenter__(self) -> "_Context":
        self._submission.entered.set()
        try:
            if self._gateway.enter_gate is not None:
                await self._gateway.enter_gate.wait()
        except BaseException:
            self._submission.cancelled = True
            self._submission.left.set()
            raise
        if self._gateway.refusal is not None:
            raise self._gateway.refusal
        self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._playing is not None:
            self._playing.cancel()
        self._submission.cancelled = not self._terminal_seen
        self._submission.left.set()

    async def _play(self) -> None:
        try:
            async for event in self._gateway.script(self._gateway.gate):
                while len(self._events) >= MAX_UNREAD_EVENTS:
                    self._taken.clear()
                    await self._taken.wait()
                self._events.append(event)
                self._moved.set()
        except Exception as exc:  # noqa: BLE001 - the reader gets it
            self._failure = exc
        self._over = True
        self._moved.set()

    async def take(self) -> Sequence[TaskEvent]:
        while not self._events and not self._over:
            self._moved.clear()
            await self._moved.wait()
        if not self._events and self._failure is not None:
            raise self._failure
        events, self._events = self._events, []
        self._taken.set()
        self._terminal_seen = self._terminal_seen or any(isinstance(event, TERMINAL_EVENTS) for event in events)
        return events


def accepted(prompt_tokens: int = 5) -> TaskAccepted:
    return TaskAccepted(TASK, prompt_tokens)


def token(text: str, index: int = 0) -> TokenChunk:
    return TokenChunk(TASK, index, 42, text)


def finished(completion_tokens: int = 2, text: str = "", reason: str = "stop") -> TaskFinished:
    return TaskFinished(TASK, reason, 5, completion_tokens, text)  # type: ignore[arg-type]


def call(name: str, arguments: str, index: int = 0) -> ToolCallChunk:
    return ToolCallChunk(TASK, index, f"call{index:05}", name, arguments)


def failed(tokens_emitted: int, incident: Incident = INCIDENT) -> ErrorChunk:
    return ErrorChunk(TASK, incident, tokens_emitted)


def play(*events: TaskEvent) -> Script:
    """A script of events that are all there at once."""

    async def script(gate: Gate) -> AsyncIterator[TaskEvent]:
        for event in events:
            yield event

    return script


def play_then_wait(before: Iterable[TaskEvent], after: Iterable[TaskEvent] = ()) -> Script:
    """A script that stops in the middle until the test opens the gate."""

    async def script(gate: Gate) -> AsyncIterator[TaskEvent]:
        for event in before:
            yield event
        await gate.wait()
        for event in after:
            yield event

    return script


def answer(*texts: str) -> Script:
    """A script of a whole, good answer."""
    tokens = [token(text, index) for index, text in enumerate(texts)]
    return play(accepted(), *tokens, finished(len(texts)))
