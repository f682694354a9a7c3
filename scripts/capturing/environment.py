"""A throw-away virtual environment for each MLX version."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMPANIONS = {
    "0.25.2": ("mlx-lm==0.24.1", "transformers==4.51.3"),
    "0.28.0": ("mlx-lm==0.26.4", "transformers==4.55.4"),
    "0.30.0": ("mlx-lm==0.28.4", "transformers==4.57.6"),
    "0.31.2": ("mlx-lm==0.31.3", "transformers==5.0.0"),
    "0.32.0": ("mlx-lm==0.31.3", "transformers==5.0.0"),
    "0.32.4": ("mlx-lm==0.32.2", "transformers"),
}
"""The versions that are captured when none is named: what a user had installed together."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One installed MLX version. `folder` is the environment's root."""

    folder: Path
    mlx: str
    mlx_lm: str
    python_version: str

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def prepare(mlx: str, base: Path, interpreter: str) -> Environment:
    """Install `mlx` and what belongs to it below `base`, unless that was done before. Blocks; uses the registry.

    Raises:
        subprocess.CalledProcessError: The version has no wheel for this system.
    """
    tag = subprocess.run(
        [interpreter, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    folder = base / f"mlx-{mlx}-python-{tag}"
    environment = Environment(folder, mlx, "", tag)
    if not (folder / "complete").exists():
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
        extra = "" if sys.platform == "darwin" else "[cpu]"
        wanted = [f"mlx{extra}=={mlx}", *COMPANIONS.get(mlx, ("mlx-lm",)), "numpy", "uvicorn"]
        command = [str(environment.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted]
        subprocess.run(command, check=True)
        (folder / "complete").touch()
    probe = "import importlib.metadata as m; print(m.version('mlx-lm'))"
    mlx_lm = subprocess.run([str(environment.python), "-c", probe], capture_output=True, text=True, check=True)
    return Environment(folder, mlx, mlx_lm.stdout.strip(), tag)
