"""An engine whose tokens say when they were made; `FAULT_ENGINE_SCRIPT` sets its pace (`tests.faults.script`)."""

import time

from runner.engine import TextStream
from runner.plan import PreparedTask
from tests.faults.scripted import ScriptedEngine


class ClockEngine(ScriptedEngine):
    """The scripted engine with the time for words."""

    def text_stream(self, task: PreparedTask) -> TextStream:
        """The clock."""
        del task
        return ClockText()


class ClockText:
    """A text of times."""

    def add(self, token: int) -> str:
        """Return the monotonic clock, which all processes of a machine share, in nanoseconds."""
        del token
        return f" {time.monotonic_ns()}"

    def finish(self) -> str:
        """Nothing is held back."""
        return ""
