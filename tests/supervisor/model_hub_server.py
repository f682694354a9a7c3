"""A hub on 127.0.0.1: the part of the Hugging Face HTTP interface that fetching a repository uses."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = hashlib.sha1(b"the only commit", usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """One repository. `gated` refuses its files; `sizes` overrides what the hub says about a file's size."""

    repository: str
    folder: Path
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the context is left; `hub.url` is set on entering."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        assert not thread.is_alive()


class _Handler(BaseHTTPRequestHandler):
    served: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        return

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.split("?")[0]
        hub = self.served
        api, files = f"/api/models/{hub.repository}", f"/{hub.repository}/resolve/{COMMIT}/"
        if path in {api, f"{api}/revision/main"}:
            self._send_json({"id": hub.repository, "sha": COMMIT, "siblings": []}, with_body)
        elif path == f"{api}/tree/{COMMIT}":
            self._send_json([self._listed(file) for file in sorted(hub.folder.iterdir())], with_body)
        elif path.startswith(files) and hub.gated:
            self._send(403, b"", with_body, {"X-Error-Code": "GatedRepo"})
        elif path.startswith(files) and (file := hub.folder / path.removeprefix(files)).is_file():
            if with_body:
                hub.fetched.append(file.name)
            content = file.read_bytes()
            size = hub.sizes.get(file.name, len(content))
            headers = {"ETag": f'"{_blob(content)}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(size)}
            self._send(200, content, with_body, headers)
        else:
            self._send(404, b"", with_body, {"X-Error-Code": "RepoNotFound"})

    def _listed(self, file: Path) -> dict[str, object]:
        content = file.read_bytes()
        size = self.served.sizes.get(file.name, len(content))
        return {"type": "file", "path": file.name, "size": size, "oid": _blob(content)}

    def _send_json(self, content: object, with_body: bool) -> None:
        self._send(200, json.dumps(content).encode(), with_body, {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, with_body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)


def _blob(content: bytes) -> str:
    """The id that git gives a file, which the hub uses as the ETag."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
