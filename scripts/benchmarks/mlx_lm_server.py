"""`mlx_lm server`, which benchmarks run beside ours."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from scripts.benchmarks.daemon import START_DEADLINE_S, free_port, stop
from scripts.benchmarks.stream import stream


@contextlib.contextmanager
def mlx_lm_server(model: str, *flags: str) -> Iterator[tuple[int, int]]:
    """Serve the model for the length of the block; the value is port and pid."""
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlx_lm",
            "server",
            "--model",
            model,
            "--port",
            str(port),
            "--log-level",
            "ERROR",
            *flags,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        _wait_until_it_answers(process, port)
        yield port, process.pid
    finally:
        stop(process)


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            stream(port, {"model": "default_model", "prompt": "x", "max_tokens": 1, "stream": True})
        except OSError as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("mlx_lm.server does not answer") from exc
            time.sleep(0.1)
        else:
            return
