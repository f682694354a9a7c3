"""What can be read about the service: models, health, cluster, incidents."""

from typing import Any

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from transports.http.errors import ApiError
from transports.http.gateway import ClusterView, Gateway, GroupState, IncidentsView, ModelView

_ENCODER = msgspec.json.Encoder()


class StatusEndpoints:
    """Handlers that only read.

    Args:
        gateway: The supervisor.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def models(self, request: Request) -> Response:
        """List the served models in OpenAI's shape."""
        del request
        return _json({"object": "list", "data": [_model(view) for view in self._gateway.models()]})

    async def model(self, request: Request) -> Response:
        """Show one served model."""
        model_id: str = request.path_params["model_id"]
        for view in self._gateway.models():
            if view.is_called(model_id):
                return _json(_model(view))
        raise ApiError(
            404,
            "model_not_found",
            f"The model {model_id[:200]!r} is not served. `/v1/models` lists the models that are.",
            param="model",
        )

    async def live(self, request: Request) -> Response:
        """Say that this process answers; says nothing about runners."""
        del request
        return _json({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Say whether a request sent now would be computed, and if not, why."""
        del request
        if self._gateway.ready():
            return _json({"status": "ready"})
        raise _not_ready(self._gateway.cluster())

    async def cluster(self, request: Request) -> Response:
        """Show the group with all its ranks."""
        del request
        return _json(self._gateway.cluster())

    async def incidents(self, request: Request) -> Response:
        """List the incidents, newest first."""
        del request
        return _json(IncidentsView(self._gateway.incidents()))

    async def incident(self, request: Request) -> Response:
        """Show one incident with all its certificates."""
        incident_id: str = request.path_params["incident_id"]
        incident = await anyio.to_thread.run_sync(self._gateway.incident, incident_id)
        if incident is None:
            raise ApiError(
                404, "incident_not_found", f"There is no incident {incident_id[:200]!r}. `/incidents` lists them."
            )
        return _json(incident)


def _json(value: Any) -> Response:
    return Response(_ENCODER.encode(value), media_type="application/json")


def _model(view: ModelView) -> dict[str, Any]:
    return {
        "id": view.model_id,
        "object": "model",
        "created": view.created,
        "owned_by": "ringwarden",
        "context_tokens": view.context_tokens,
    }


def _not_ready(view: ClusterView) -> ApiError:
    match view.state:
        case GroupState.STARTING:
            code, retryable = "model_loading", True
        case GroupState.RESTARTING:
            code, retryable = "runner_restarting", True
        case GroupState.STOPPING | GroupState.STOPPED:
            code, retryable = "service_stopping", True
        case GroupState.FAILED:
            code, retryable = "cluster_degraded", False
        case GroupState.READY | GroupState.DEGRADED:
            code, retryable = "cluster_degraded", True
    ranks = ", ".join(f"rank {rank.rank} {rank.state}{_progress(rank.progress)}" for rank in view.ranks)
    reason = f" ({view.reason})" if view.reason else ""
    return ApiError(
        503,
        code,
        f"The group is {view.state}{reason}: {ranks or 'no ranks'}.",
        retryable=retryable,
        retry_after_s=view.restart_in_s,
    )


def _progress(progress: str | None) -> str:
    return f" {progress}" if progress else ""
