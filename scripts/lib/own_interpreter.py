"""For scripts that a person starts with any Python: go on in the project's own environment."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def use_own_interpreter() -> None:
    """Replace this process by the same script under `.venv`, unless it runs in a virtual environment already."""
    if sys.prefix != sys.base_prefix:
        return
    interpreter = ROOT / ".venv" / "bin" / "python"
    if not interpreter.exists():
        sys.exit(f"There is no {interpreter}: run ./scripts/test once, which makes it.")
    os.execv(interpreter, [str(interpreter), *sys.argv])
