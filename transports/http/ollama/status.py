"""What Ollama's clients read before they ask anything: models, loaded models, version."""

from importlib import metadata
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from transports.http.errors import ApiError, invalid_request
from transports.http.gateway import Gateway, ModelView
from transports.http.limits import HttpLimits
from transports.http.ollama.lines import timestamp
from transports.http.ollama.request import model_name_of
from transports.http.request_body import decode_body, read_body

_ENCODER = msgspec.json.Encoder()
_FAMILY = "mlx"
_NEVER = "9999-12-31T23:59:59Z"  # Models are not unloaded; a zero time reads as "stopping" to Ollama's command.

# Size, digest and quantization are not known here; clients need the keys.
_DETAILS: dict[str, Any] = {
    "parent_model": "",
    "format": _FAMILY,
    "family": _FAMILY,
    "families": [_FAMILY],
    "parameter_size": "",
    "quantization_level": "",
}


class ShowRequest(msgspec.Struct, frozen=True):
    """`/api/show`; older clients say `name`."""

    model: str | None = None
    name: str | None = None


class OllamaStatusEndpoints:
    """Handlers that only read.

    Args:
        gateway: The supervisor.
        limits: What one client may cost.
    """

    def __init__(self, gateway: Gateway, limits: HttpLimits) -> None:
        self._gateway = gateway
        self._limits = limits
        self._show_decoder = msgspec.json.Decoder(ShowRequest)

    async def tags(self, request: Request) -> Response:
        """List the served models."""
        del request
        return _json({"models": [_model(view) for view in self._gateway.models()]})

    async def ps(self, request: Request) -> Response:
        """List the models that would answer now."""
        del request
        loaded = self._gateway.cluster().model if self._gateway.ready() else None
        views = [view for view in self._gateway.models() if view.model_id == loaded]
        more: dict[str, Any] = {"expires_at": _NEVER, "size_vram": 0}
        return _json({"models": [{**_model(v), **more, "context_length": v.context_tokens or 0} for v in views]})

    async def version(self, request: Request) -> Response:
        """Tell our own version: we are not Ollama."""
        del request
        try:
            return _json({"version": metadata.version("ringwarden")})
        except metadata.PackageNotFoundError:  # A bare checkout.
            return _json({"version": "0.0.0"})

    async def show(self, request: Request) -> Response:
        """Show one served model."""
        body = await read_body(request.scope, request.receive, self._limits)
        asked = decode_body(self._show_decoder, body)
        name = asked.model or asked.name
        if not name:
            raise invalid_request("model", "`model` is missing. Name one of the models that `/api/tags` lists.")
        for view in self._gateway.models():
            if view.is_called(model_name_of(name)):
                return _json(_shown(view))
        message = f"The model {name[:200]!r} is not served. `/api/tags` lists the models that are."
        raise ApiError(404, "model_not_found", message, param="model")


def _json(value: Any) -> Response:
    return Response(_ENCODER.encode(value), media_type="application/json")


def _model(view: ModelView) -> dict[str, Any]:
    return {
        "name": view.model_id,
        "model": view.model_id,
        "modified_at": timestamp(view.created),
        "size": 0,
        "digest": "",
        "details": _DETAILS,
    }


def _capabilities(view: ModelView) -> list[str]:
    """In Ollama's words; clients ask for nothing that is not among them."""
    more = {"tools": view.calls_tools, "thinking": view.thinks}
    return ["completion", *(name for name, is_there in more.items() if is_there)]


def _shown(view: ModelView) -> dict[str, Any]:
    information: dict[str, Any] = {"general.architecture": _FAMILY}
    if view.context_tokens is not None:
        information[f"{_FAMILY}.context_length"] = view.context_tokens
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "modified_at": timestamp(view.created),
        "details": _DETAILS,
        "model_info": information,
        "capabilities": _capabilities(view),
    }
