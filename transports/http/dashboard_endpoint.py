"""The dashboard at `/` and its files below `/dashboard/`: a page that may load nothing else, and run nothing else."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from transports.http.errors import ApiError

DASHBOARD_PREFIX = "/dashboard/"
_FOLDER = Path(__file__).parent / "dashboard"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class DashboardEndpoint:
    """Serves the files from memory, where they all are from the start: no name in a request reaches the disk.

    They hold no data, so they need no key: what the page shows it asks for with the key of whoever looks at it.
    """

    def __init__(self) -> None:
        self._files = {
            str(path.relative_to(_FOLDER)): (path.read_bytes(), _MEDIA_TYPES[path.suffix])
            for path in _FOLDER.rglob("*")
            if path.suffix in _MEDIA_TYPES
        }
        self._tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, (data, _) in self._files.items()}

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(request, "index.html")

    async def file(self, request: Request) -> Response:
        """One of its parts."""
        name: str = request.path_params["name"]
        if name not in self._files:
            raise ApiError(404, "not_found", f"The dashboard has no file {name[:200]!r}.")
        return self._answer(request, name)

    def _answer(self, request: Request, name: str) -> Response:
        data, media_type = self._files[name]
        headers = {**_HEADERS, "etag": self._tags[name]}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media_type, headers=headers)
