"""What a runner says about the output of its tasks: a part of the private channel's vocabulary."""

from typing import Literal

import msgspec

OutputStream = Literal["stdout", "stderr"]
Attribution = Literal["exact", "shared"]


class TaskStdout(msgspec.Struct, frozen=True, tag=True):
    """A task wrote a line to stdout. Not terminal; any number of times. `attribution` as in `TaskStderr`."""

    task_id: str
    line: str
    attribution: Attribution = "exact"


class TaskStderr(msgspec.Struct, frozen=True, tag=True):
    """A task wrote a line to stderr. Not terminal; any number of times.

    Python-level lines are `exact` and come from the runner. Native ones are made by the supervisor from the markers in
    the stream: `shared` when several tasks were in flight, each of which then gets the line.
    """

    task_id: str
    line: str
    attribution: Attribution = "exact"


class TaskLog(msgspec.Struct, frozen=True, tag=True):
    """A task logged a record with Python's `logging`. Not terminal; any number of times. `level` is its number."""

    task_id: str
    level: int
    logger: str
    message: str
    traceback: str = ""


class TaskOutputEnded(msgspec.Struct, frozen=True, tag=True):
    """A rank has said everything that it has to say about a task. Every rank sends it, once per task that it was sent.

    Rank 0 sends it before the terminal event. What the task wrote to the streams stands before the marker number
    `serial`; `dropped_lines` could not be sent as events because the supervisor did not keep up.
    """

    task_id: str
    serial: int
    dropped_lines: int = 0


OutputEvent = TaskStdout | TaskStderr | TaskLog
OUTPUT_EVENTS = (TaskStdout, TaskStderr, TaskLog)
