"""Lines on their way out, and the pause until there are more."""

import os
import select
import stat
import sys
import time
from collections.abc import Iterable

from supervisor.cli.log_lines import LogLine, captured_heading, captured_lines, line_text
from supervisor.cli.log_query import LogStream
from supervisor.cli.terminal import console, json_line
from supervisor.journal.records import CapturedLog

POLL_INTERVAL_S = 0.2


class LineWriter:
    """Writes to standard output, for people or as one JSON object a line. `count` is how many lines so far.

    Args:
        as_json: JSON lines, and no remarks.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.count = 0
        self._as_json = as_json
        self._console = console()
        self._poll: select.poll | None = None
        # Terminals cannot be polled everywhere (macOS), and do not close.
        if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            self._poll = select.poll()
            self._poll.register(sys.stdout.fileno(), 0)

    def captured(self, log: CapturedLog, stream: LogStream | None) -> None:
        """Write what a task wrote, with a heading for people."""
        if not self._as_json:
            self._console.print(captured_heading(log))
        for line in captured_lines(log, stream):
            self._write(line, with_rank=False)

    def lines(self, lines: Iterable[LogLine]) -> None:
        """Write raw output."""
        for line in lines:
            self._write(line, with_rank=True)

    def remark(self, text: str) -> None:
        """Tell a person why there is nothing."""
        if not self._as_json:
            self._console.print(text)

    def pause(self) -> None:
        """Show what was written, and block for a moment.

        Raises:
            BrokenPipeError: Standard output is a pipe that nobody reads any more.
        """
        sys.stdout.flush()
        if self._poll is None:
            time.sleep(POLL_INTERVAL_S)
        elif self._poll.poll(POLL_INTERVAL_S * 1000):
            raise BrokenPipeError

    def _write(self, line: LogLine, *, with_rank: bool) -> None:
        self.count += 1
        if self._as_json:
            sys.stdout.write(json_line(line))
        else:
            self._console.print(line_text(line, with_rank=with_rank))
