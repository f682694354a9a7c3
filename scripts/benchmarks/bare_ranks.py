"""Runs `bare_generation` as one process or as a ring of ranks."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.daemon import PROJECT, free_port, stop


class BareRanks:
    """Living ranks that hold the model. The seconds of rank 0 count."""

    def __init__(self, ranks: "list[subprocess.Popen[str]]") -> None:
        self._ranks = ranks

    def seconds(self, max_tokens: int, prompt: str) -> float:
        """Generate once and return how long it took. Blocks."""
        for rank in self._ranks:
            assert rank.stdin is not None
            rank.stdin.write(f"{max_tokens} {prompt}\n")
            rank.stdin.flush()
        lines = [_line(rank) for rank in self._ranks]
        return float(lines[0])


@contextlib.contextmanager
def bare_ranks(model: str, ranks: int) -> Iterator[BareRanks]:
    """Start and load; nothing of it is left after the block."""
    with tempfile.TemporaryDirectory(prefix="rw-bare-") as folder, contextlib.ExitStack() as stack:
        hostfile = Path(folder, "hosts.json")
        hostfile.write_text(json.dumps([[f"127.0.0.1:{free_port()}"] for _ in range(ranks)]))
        processes = []
        for rank in range(ranks):
            ring = {"MLX_RANK": str(rank), "MLX_HOSTFILE": str(hostfile)} if ranks > 1 else {}
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.benchmarks.bare_generation", model],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=PROJECT,
                env={**os.environ, "HF_HUB_OFFLINE": "1", **ring},
            )
            stack.callback(stop, process)
            processes.append(process)
        for process in processes:
            _line(process)
        yield BareRanks(processes)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("bare mlx-lm ended; its error is above")
    return line
