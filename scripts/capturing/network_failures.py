"""Taken ports, and downloads from a hub on this machine that refuses, lies, or hangs up."""
# ruff: noqa: E501 - programs stand on the lines that they have

from capturing.load_failures import sound_model
from capturing.scenario import Scenario, Truth
from capturing.single import program

_PORT, _DOWNLOAD = "port_in_use", "download_failed"
_HOLD = 'import socket\n\nheld = socket.socket()\nheld.bind(("127.0.0.1", 0))\nheld.listen()\nport = held.getsockname()[1]\n'
_HUB = """
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTING = {"id": "nobody/m", "modelId": "nobody/m", "sha": "0" * 40, "siblings": [{"rfilename": "model.safetensors"}],
           "private": False, "tags": [], "downloads": 0, "likes": 0}


class Hub(BaseHTTPRequestHandler):
    def answer(self):
        status = STATUS
        if status == "cut":
            return self.cut()
        if status == "reset":
            return self.connection.close()
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def cut(self):
        body = json.dumps(LISTING).encode()
        self.send_response(200)
        if "/api/" in self.path:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
            return
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"x" * 500)
            self.close_connection = True

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_address[1]}"
"""
_FETCH = 'from huggingface_hub import snapshot_download\n\nsnapshot_download("nobody/m")'
_LOAD = 'from mlx_lm import load\n\nload("nobody/m")'


def _hub(status: object, headers: dict[str, str] | None = None) -> str:
    return f"STATUS = {status!r}\nHEADERS = {headers or {}!r}\n{_HUB.strip()}\n{_FETCH}"


_FAILED = r"^(?:\w+\.)+\w+(?:Error|Exception|Enabled|Timeout)\b"

_ROWS: tuple[tuple[str, Truth, str, dict[str, str]], ...] = (
    ("port_plain", Truth(_PORT, marker="Address already in use"),
     _HOLD + 'socket.socket().bind(("127.0.0.1", port))', {}),
    ("port_http_server", Truth(_PORT, marker="Address already in use"),
     _HOLD + "import runpy, sys\n\nsys.argv = ['http.server', str(port), '--bind', '127.0.0.1']\n"
     "runpy.run_module('http.server', run_name='__main__')", {}),
    ("port_uvicorn", Truth(_PORT, marker="address already in use"),
     _HOLD + "import uvicorn\n\nasync def app(scope, receive, send):\n    pass\n\n"
     "uvicorn.run(app, port=port)", {}),
    ("port_asyncio", Truth(_PORT, marker="address already in use"),
     _HOLD + "import asyncio\n\nasync def main():\n"
     "    await asyncio.start_server(lambda reader, writer: None, '127.0.0.1', port)\n\nasyncio.run(main())", {}),
    ("port_mlx_lm_server", Truth(_PORT, marker="Address already in use"),
     _HOLD + "import sys\n\nfrom mlx_lm.server import main\n\n"
     "sys.argv = ['mlx_lm.server', '--model', '{models}/m', '--port', str(port)]\nmain()", {}),
    ("download_refused", Truth(_DOWNLOAD, marker=_FAILED), _FETCH, {"HF_ENDPOINT": "http://127.0.0.1:9"}),
    ("download_refused_mlx_lm", Truth(_DOWNLOAD, marker=_FAILED), _LOAD, {"HF_ENDPOINT": "http://127.0.0.1:9"}),
    ("download_unknown_host", Truth(_DOWNLOAD, marker=_FAILED), _FETCH, {"HF_ENDPOINT": "http://hub.invalid"}),
    ("download_offline", Truth(_DOWNLOAD, marker=_FAILED), _FETCH, {"HF_HUB_OFFLINE": "1"}),
    ("download_404", Truth(_DOWNLOAD, marker=_FAILED), _hub(404, {"X-Error-Code": "RepoNotFound"}), {}),
    ("download_401", Truth(_DOWNLOAD, marker=_FAILED), _hub(401), {}),
    ("download_403_gated", Truth(_DOWNLOAD, marker=_FAILED), _hub(403, {"X-Error-Code": "GatedRepo"}), {}),
    ("download_no_revision", Truth(_DOWNLOAD, marker=_FAILED), _hub(404, {"X-Error-Code": "RevisionNotFound"}), {}),
    ("download_429", Truth(_DOWNLOAD, marker=_FAILED), _hub(429), {"HF_HUB_DOWNLOAD_TIMEOUT": "2"}),
    ("download_500", Truth(_DOWNLOAD, marker=_FAILED), _hub(500), {}),
    ("download_hung_up", Truth(_DOWNLOAD, marker=_FAILED), _hub("reset"), {}),
    ("download_cut", Truth(_DOWNLOAD, marker=_FAILED + "|Consistency check failed"), _hub("cut"),
     {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "3"}),
    ("download_bad_name", Truth(_DOWNLOAD, marker=_FAILED),
     'from huggingface_hub import snapshot_download\n\nsnapshot_download("no/such/name")', {}),
    ("download_urllib", Truth(_DOWNLOAD, marker="^urllib.error.URLError"),
     'from urllib.request import urlopen\n\nurlopen("http://127.0.0.1:9/model.safetensors")', {}),
)  # fmt: skip

NETWORK: tuple[Scenario, ...] = tuple(
    program(name, "network", truth, source, environ, prepare=sound_model) for name, truth, source, environ in _ROWS
)
