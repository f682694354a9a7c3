"""Models for benchmarks: random weights, real cost, greedy answers that never end by themselves.

They are written in a child (`write_model`), so that a benchmark's own process never loads MLX.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.daemon import PROJECT

BUILT_IN = "tiny"


@dataclass(frozen=True)
class Size:
    """Shape of a random qwen2."""

    layers: int
    hidden: int


SMALLEST = Size(1, 32)
"""For scripted engines, which only need a folder that passes the checks."""
REALISTIC = Size(12, 256)
"""About 10 to 20 ms a token on one x86-64 core: supervision has to hide behind that, not behind nothing."""


@contextlib.contextmanager
def random_model(size: Size) -> Iterator[str]:
    """Make a model for the length of the block; the value is its folder."""
    with tempfile.TemporaryDirectory(prefix="rw-model-") as parent:
        folder = Path(parent, "random")
        command = [
            sys.executable,
            "-m",
            "scripts.benchmarks.write_model",
            str(folder),
            str(size.layers),
            str(size.hidden),
        ]
        subprocess.run(command, cwd=PROJECT, check=True, stdin=subprocess.DEVNULL)
        yield str(folder)
