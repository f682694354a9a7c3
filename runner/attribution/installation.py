"""Puts attribution into a process, once, and puts it back where a program has replaced it."""

import sys
from collections.abc import Callable
from typing import TextIO, cast

from runner.attribution.context import hook
from runner.attribution.inheritance import install_inheritance
from runner.attribution.logs import install_logs
from runner.attribution.task_output import OutputLimits, TaskOutput
from runner.attribution.tee import TeeStream
from runner.uplink import Uplink
from transports.output_events import OutputStream

_DEFAULT_LIMITS = OutputLimits()


def install(
    uplink: Uplink,
    marker_token: str | None,
    leave_without_supervisor: Callable[[], object],
    limits: OutputLimits = _DEFAULT_LIMITS,
) -> TaskOutput:
    """Report from here on what tasks print, log and warn about. Once per process, before engines are imported.

    Whenever a task's code begins to run, streams that were replaced meanwhile are wrapped again.

    Args:
        uplink: What it is reported through.
        marker_token: See `Configure`.
        leave_without_supervisor: Called when the supervisor is gone.
        limits: The bounds.
    """
    output = TaskOutput(uplink, marker_token, limits)
    install_inheritance()
    install_logs(output)
    _wrap_streams(output)
    hook.on_enter = lambda: _wrap_streams(output)
    output.start(leave_without_supervisor)
    return output


def _wrap_streams(output: TaskOutput) -> None:
    if type(sys.stdout) is not TeeStream:
        sys.stdout = _wrap(sys.stdout, "stdout", output)
    if type(sys.stderr) is not TeeStream:
        sys.stderr = _wrap(sys.stderr, "stderr", output)


def _wrap(stream: TextIO | None, name: OutputStream, output: TaskOutput) -> TextIO | None:
    """Wrap a stream; a program without one goes on without."""
    if stream is None:
        return None
    stream.flush()
    return cast(TextIO, TeeStream(stream, name, output))
