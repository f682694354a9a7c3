"""Where the lines of one stream stood in the log that it was taken from."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Run:
    """`count` lines from `first`, which stood one below the other in the log from `log_line`, each behind `tag`."""

    first: int
    log_line: int
    tag: bytes
    count: int


class LineOrigins:
    """Number and tag of each line that somebody may still ask for, in bounded memory.

    Args:
        wanted: Called when the memory is full; returns the lines of the stream that must stay known.
        max_runs: How many runs of lines are kept before that.
        recent_lines: How many of the last lines stay known in any case.
    """

    def __init__(
        self, wanted: Callable[[], Iterable[int]], *, max_runs: int = 16 * 1024, recent_lines: int = 256
    ) -> None:
        self._wanted = wanted
        self._max_runs = max_runs
        self._recent_lines = recent_lines
        self._runs: list[_Run] = []
        self._lines = 0

    def note(self, log_line: int, tag: bytes, count: int = 1) -> None:
        """The next `count` lines of the stream stood in the log from `log_line`."""
        last = self._runs[-1] if self._runs else None
        if last is not None and last.tag == tag and last.log_line + last.count == log_line:
            self._runs[-1] = _Run(last.first, last.log_line, tag, last.count + count)
        else:
            self._runs.append(_Run(self._lines, log_line, tag, count))
        self._lines += count

    def trim(self) -> None:
        """Forget what nobody will ask for, if the memory is full. The stream must have read all noted lines."""
        if len(self._runs) <= self._max_runs:
            return
        wanted = sorted({*self._wanted()})
        oldest = self._lines - self._recent_lines
        old = {id(run): run for line in wanted if (run := self._run_of(line)) is not None}
        kept = [*old.values(), *(run for run in self._runs[-self._recent_lines :] if id(run) not in old)]
        self._runs = sorted((run for run in kept if id(run) in old or run.first + run.count > oldest), key=_first)

    def log_line(self, line: int) -> int:
        """Where `line` of the stream stood in the log."""
        run = self._run_of(line)
        return line if run is None else run.log_line + line - run.first

    def tag(self, line: int) -> str:
        """What stood in front of `line` in the log."""
        run = self._run_of(line)
        return "" if run is None else run.tag.decode("utf-8", "replace")

    def _run_of(self, line: int) -> _Run | None:
        position = bisect_right(self._runs, line, key=_first) - 1
        if position < 0:
            return None
        run = self._runs[position]
        return run if line < run.first + run.count else None


def _first(run: _Run) -> int:
    return run.first
