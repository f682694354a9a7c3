"""Puts the HTTP surface together over a gateway."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from transports.http.anthropic.count_tokens import CountTokensSurface
from transports.http.anthropic.messages import MessagesSurface
from transports.http.counting_endpoint import CountingEndpoint
from transports.http.dashboard_endpoint import DASHBOARD_PREFIX, DashboardEndpoint
from transports.http.dialect import error_response
from transports.http.edge import Edge
from transports.http.errors import ApiError
from transports.http.events_endpoint import EventsEndpoint
from transports.http.gateway import Gateway
from transports.http.generation_endpoint import GenerationEndpoint
from transports.http.limits import HttpLimits, HttpSecurity
from transports.http.metrics_endpoint import MetricsEndpoint, MetricsSource
from transports.http.ollama.chat import OllamaChatSurface
from transports.http.ollama.generate import OllamaGenerateSurface
from transports.http.ollama.status import OllamaStatusEndpoints
from transports.http.openai.chat import ChatSurface
from transports.http.openai.completions import CompletionSurface
from transports.http.openai.input_tokens import InputTokensSurface
from transports.http.openai.responses import ResponsesSurface
from transports.http.request_id import request_id_of
from transports.http.request_tracing import RequestTracing, note_error
from transports.http.requests_endpoint import RequestsEndpoint
from transports.http.status_endpoints import StatusEndpoints
from transports.live import LiveFeed


def create_app(
    gateway: Gateway,
    limits: HttpLimits,
    security: HttpSecurity | None = None,
    *,
    live: LiveFeed,
    metrics: MetricsSource,
    tracing: RequestTracing | None = None,
) -> Starlette:
    """Return the ASGI application; every path and every failure of it answers in the documented shapes.

    Args:
        gateway: The supervisor.
        limits: What one client may cost.
        security: Who may ask; by default everybody who reaches a loopback name.
        live: What happens, for those who watch.
        metrics: What is counted.
        tracing: Who traces requests; nobody by default.
    """
    status = StatusEndpoints(gateway)
    dashboard = DashboardEndpoint()
    requests = RequestsEndpoint(gateway)
    ollama = OllamaStatusEndpoints(gateway, limits)
    count_tokens = CountingEndpoint(gateway, CountTokensSurface(), limits)
    input_tokens = CountingEndpoint(gateway, InputTokensSurface(), limits)
    routes = [
        Route("/v1/chat/completions", GenerationEndpoint(gateway, ChatSurface(), limits), methods=["POST"]),
        Route("/v1/completions", GenerationEndpoint(gateway, CompletionSurface(), limits), methods=["POST"]),
        Route("/v1/responses", GenerationEndpoint(gateway, ResponsesSurface(limits), limits), methods=["POST"]),
        Route("/v1/messages", GenerationEndpoint(gateway, MessagesSurface(), limits), methods=["POST"]),
        Route("/v1/messages/count_tokens", count_tokens.handle, methods=["POST"]),
        Route("/v1/responses/input_tokens", input_tokens.handle, methods=["POST"]),
        Route("/api/chat", GenerationEndpoint(gateway, OllamaChatSurface(), limits), methods=["POST"]),
        Route("/api/generate", GenerationEndpoint(gateway, OllamaGenerateSurface(), limits), methods=["POST"]),
        Route("/api/tags", ollama.tags),
        Route("/api/ps", ollama.ps),
        Route("/api/version", ollama.version),
        Route("/api/show", ollama.show, methods=["POST"]),
        Route("/v1/responses/{response_id}/cancel", requests.cancel_response, methods=["POST"]),
        Route("/v1/requests", requests.list),
        Route("/v1/requests/{request_id}", requests.one, methods=["GET", "DELETE"]),
        Route("/v1/models", status.models),
        Route("/v1/models/{model_id:path}", status.model),
        Route("/health/live", status.live),
        Route("/health/ready", status.ready),
        Route("/cluster", status.cluster),
        Route("/incidents", status.incidents),
        Route("/incidents/{incident_id}", status.incident),
        Route("/metrics", MetricsEndpoint(metrics).metrics),
        Route("/events", EventsEndpoint(gateway, live, limits), methods=["GET"]),
        Route("/", dashboard.page),
        Route(f"{DASHBOARD_PREFIX}{{name:path}}", dashboard.file),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(
                Edge,
                limits=limits,
                security=security or HttpSecurity(),
                requests=metrics.requests,
                tracing=tracing,
            )
        ],
        exception_handlers={HTTPException: _on_routing_error, ApiError: _on_api_error},
    )
    app.router.redirect_slashes = False
    return app


async def _on_api_error(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, ApiError):
        raise exc
    note_error(request.scope, exc)
    return error_response(exc, request.scope, request_id_of(request.scope))


async def _on_routing_error(request: Request, exc: Exception) -> Response:
    """Answer what starlette itself refuses: no route, or no such method on it."""
    if not isinstance(exc, HTTPException):
        raise exc
    path: str = request.scope["path"][:200]
    if exc.status_code == 404:
        error = ApiError(404, "not_found", f"There is no {path!r} here. docs/api.md lists the paths.")
    elif exc.status_code == 405:
        allowed = (exc.headers or {}).get("Allow", "")
        message = f"{path!r} does not take {request.method[:20]}. Use {allowed}."
        error = ApiError(405, "method_not_allowed", message, headers={"allow": allowed})
    else:
        error = ApiError(exc.status_code, "invalid_request_error", exc.detail)
    note_error(request.scope, error)
    return error_response(error, request.scope, request_id_of(request.scope))
