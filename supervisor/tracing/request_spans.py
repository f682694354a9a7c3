"""One span for each request to generate, with what its task cost as its children.

Names are those of OpenTelemetry's conventions for HTTP servers and generative models; what they have no name for is
below `ringwarden.`. No prompt and no answer is in any of it.
"""

import time
from contextvars import ContextVar

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from supervisor.core.task_statistics import GOOD_ENDS, TaskEnd, TaskTimes
from supervisor.task_router import TerminalEvent
from transports.messages import ErrorChunk, TaskRejected, TaskStopped

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/api/chat": "chat",
    "/v1/completions": "text_completion",
    "/api/generate": "text_completion",
}
_PROPAGATED = (b"traceparent", b"tracestate")
_CURRENT: ContextVar["_RequestTrace | None"] = ContextVar("ringwarden_request_trace", default=None)


class RequestSpans:
    """Implements `transports.http.request_tracing.RequestTracing` and `supervisor.observers.TaskObserver`.

    Args:
        tracer: Makes spans.
        model: The served model.
    """

    def __init__(self, tracer: Tracer, model: str) -> None:
        self._tracer = tracer
        self._model = model
        self._propagator = TraceContextTextMapPropagator()
        self._tasks: dict[str, _RequestTrace] = {}

    def begin(self, scope: Scope, request_id: str) -> "_RequestTrace | None":
        """Begin the span of a request to generate, within the trace that its headers name."""
        # A pipelined request is begun in the context of the one before it.
        _CURRENT.set(None)
        operation = OPERATIONS.get(scope["path"])
        if operation is None or scope["method"] != "POST":
            return None
        sent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PROPAGATED}
        span = self._tracer.start_span(
            operation,
            context=self._propagator.extract(sent),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": "ringwarden",
                "http.request.method": "POST",
                "http.route": scope["path"],
                "ringwarden.request_id": request_id,
            },
        )
        trace = _RequestTrace(span, operation)
        _CURRENT.set(trace)
        return trace

    def on_task_open(self, task_id: str, generation: int) -> None:
        """The request in whose context this is called became a task."""
        trace = _CURRENT.get()
        if trace is None:
            return
        self._tasks[task_id] = trace
        span = trace.span
        span.update_name(f"{trace.operation} {self._model}")
        span.set_attributes(
            {
                "gen_ai.request.model": self._model,
                "gen_ai.response.model": self._model,
                "ringwarden.task_id": task_id,
                "ringwarden.generation": generation,
            }
        )

    def on_task_withdrawn(self, task_id: str) -> None:
        """It cost nothing."""
        self._tasks.pop(task_id, None)

    def on_task_end(self, times: TaskTimes, event: TerminalEvent) -> None:
        """Tell what the task cost and, when it did not end well, why."""
        trace = self._tasks.pop(times.task_id, None)
        if trace is None:
            return
        span = trace.span
        self._tell_stages(span, times)
        if not span.is_recording():
            return
        span.set_attributes(
            {
                "gen_ai.usage.input_tokens": times.prompt_tokens,
                "gen_ai.usage.output_tokens": times.completion_tokens,
            }
        )
        trace.error_is_told = times.end not in GOOD_ENDS
        match event:
            case ErrorChunk():
                _tell_incident(span, event)
            case TaskRejected():
                span.set_attribute("error.type", event.code.value)
            case TaskStopped():
                span.set_attribute("error.type", event.reason.value)
            case _:
                span.set_attribute("gen_ai.response.finish_reasons", [times.end.value])

    def _tell_stages(self, span: Span, times: TaskTimes) -> None:
        epoch_ns = time.time_ns() - time.monotonic_ns()
        moments = [
            ("queue", times.opened_at_s),
            ("prefill", times.computing_at_s),
            ("decode", times.first_token_at_s),
        ]
        reached = [(name, at_s) for name, at_s in moments if at_s is not None]
        ends = [*(at_s for _, at_s in reached[1:]), times.ended_at_s]
        for (name, began_at_s), ended_at_s in zip(reached, ends, strict=True):
            stage = self._tracer.start_span(
                name, context=set_span_in_context(span), start_time=epoch_ns + int(began_at_s * 1e9)
            )
            if times.end is TaskEnd.FAILED and ended_at_s == times.ended_at_s:
                stage.set_status(Status(StatusCode.ERROR))
            stage.end(epoch_ns + int(ended_at_s * 1e9))


class _RequestTrace:
    """Implements `transports.http.request_tracing.RequestTrace`."""

    def __init__(self, span: Span, operation: str) -> None:
        self.span = span
        self.operation = operation
        self.error_is_told = False

    def end(self, status: int | None, error_code: str | None) -> None:
        """End the span."""
        if status is not None:
            self.span.set_attribute("http.response.status_code", status)
        if error_code is not None and not self.error_is_told:
            self.span.set_attribute("error.type", error_code)
        if status is not None and status >= 500 and not self.error_is_told:
            self.span.set_status(Status(StatusCode.ERROR, error_code))
        self.span.end()


def _tell_incident(span: Span, event: ErrorChunk) -> None:
    incident = event.incident
    about: dict[str, str | bool | int] = {
        "ringwarden.incident_id": incident.incident_id,
        "ringwarden.cause": incident.cause.value,
        "ringwarden.node": incident.node,
        "ringwarden.phase": incident.phase.value,
        "ringwarden.retryable": incident.retryable,
    }
    if incident.rank is not None:
        about["ringwarden.rank"] = incident.rank
    span.set_attributes({**about, "error.type": incident.cause.value})
    span.add_event("ringwarden.incident", {**about, "message": incident.message, "advice": incident.advice})
    span.set_status(Status(StatusCode.ERROR, incident.message))
