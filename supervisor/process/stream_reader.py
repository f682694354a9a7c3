"""Reads one pipe of a child to its end: kept, relayed line by line, or both."""

from collections.abc import Callable

from supervisor.process.drain import drain
from supervisor.process.kept_output import KeptOutput
from supervisor.process.line_cutter import LineCutter


class StreamReader:
    """One stream of one child. `read` may be cancelled and called again: nothing is lost in between.

    Args:
        fd: Our non-blocking end of the pipe.
        kept: Takes all bytes.
        relay_line: Takes every line without its end, as it comes; None relays nothing.
    """

    def __init__(self, fd: int, kept: KeptOutput | None, relay_line: Callable[[str], None] | None) -> None:
        self.kept = kept
        self._fd = fd
        self._relay_line = relay_line
        self._cutter = LineCutter()

    async def read(self) -> None:
        """Read to the end of the stream."""
        await drain(self._fd, self._consume)

    def finish(self) -> None:
        """Relay the unfinished last line. To be called once, when nothing is read any more."""
        self._relay(self._cutter.finish())

    def _consume(self, data: bytes) -> None:
        if self.kept is not None:
            self.kept.feed(data)
        if self._relay_line is not None:
            self._relay(self._cutter.feed(data))

    def _relay(self, lines: bytes) -> None:
        if self._relay_line is None or not lines:
            return
        for line in lines.removesuffix(b"\n").split(b"\n"):
            self._relay_line(line.decode("utf-8", "replace"))
