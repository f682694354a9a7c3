"""Asking a command of the system, and knowing why it did not answer."""

import subprocess
import tempfile

import msgspec

from supervisor.cluster.inventory import plain_environment

_MAX_ANSWER_BYTES = 1024 * 1024


class ToolAnswer(msgspec.Struct, frozen=True):
    """What it printed, or in one clause why there is nothing; exactly one of the two is set."""

    output: str | None = None
    problem: str | None = None


def ask_tool(*command: str, timeout_s: float = 5.0) -> ToolAnswer:
    """Run a command of the system to its end. Blocks for `timeout_s` at most; of a long answer the first MiB is read.

    A command that exits with an error did not answer, whatever it printed.
    """
    name = " ".join(command)
    # A file takes whatever comes; a pipe would have to be read, without a limit.
    with tempfile.TemporaryFile() as printed:
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                env=plain_environment(),
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            return ToolAnswer(problem=f"there is no {command[0]} here")
        except subprocess.TimeoutExpired:
            return ToolAnswer(problem=f"`{name}` did not end within {timeout_s:g} s")
        except OSError as problem:
            return ToolAnswer(problem=f"`{name}` cannot be started: {problem.strerror or problem}")
        if ended.returncode != 0:
            return ToolAnswer(problem=f"`{name}` exited with {ended.returncode}")
        printed.seek(0)
        return ToolAnswer(output=printed.read(_MAX_ANSWER_BYTES).decode("utf-8", "replace").strip())
