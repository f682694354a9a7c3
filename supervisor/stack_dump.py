"""Python stacks that a runner wrote into its dump file: on request, or when its dead-man's switch fired."""

from pathlib import Path

MAX_STACK_BYTES = 16 * 1024
_DEAD_MAN_MARK = "Timeout ("


def read_stacks(path: Path) -> str:
    """Return the newest stacks, bounded; empty when there are none or the file cannot be read. Blocks briefly."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_STACK_BYTES))
            return file.read(MAX_STACK_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""


def dead_man_fired(stacks: str) -> bool:
    """True when the stacks end with those that `faulthandler.dump_traceback_later` writes before it exits."""
    return _DEAD_MAN_MARK in stacks
