"""Running a service manager's own command: bounded in time and in what it may print."""

import os
import shutil
import subprocess
import tempfile

import msgspec

from supervisor.exit_code import ExitCode
from supervisor.service.plan import ServiceError

MAX_ANSWER_BYTES = 256 * 1024


class ToolAnswer(msgspec.Struct, frozen=True):
    """How the command ended and what it printed, both outputs together."""

    exit_code: int
    text: str

    @property
    def last_line(self) -> str:
        """What it said last: with these commands, the reason."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"it said nothing, and exited with {self.exit_code}"


def run_tool(name: str, *arguments: str, timeout_s: float) -> ToolAnswer:
    """Run a command of the system to its end and return its answer, whatever its exit code. Blocks.

    Raises:
        ServiceError: It is not there, cannot be started, or does not answer within `timeout_s`.
    """
    path = shutil.which(name)
    if path is None:
        raise ServiceError(
            f"there is no {name} here to start a service with",
            "Add --no-start, or --no-stop, to write or remove the file only",
            ExitCode.UNAVAILABLE,
        )
    # A file, not a pipe: it takes whatever comes, and we read only the beginning.
    with tempfile.TemporaryFile() as answer:
        try:
            ended = subprocess.run(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as problem:
            message = f"{name} {' '.join(arguments)} did not end within {timeout_s:g} s"
            raise ServiceError(message, "Try it by hand", ExitCode.UNAVAILABLE) from problem
        except OSError as problem:
            message = f"{path} cannot be started: {problem.strerror or problem}"
            raise ServiceError(message, "Repair it", ExitCode.UNAVAILABLE) from problem
        answer.seek(0)
        text = answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
    return ToolAnswer(ended.returncode, text)
