"""The start of a daemon: a bar that log lines pass above, or plain lines where no bar can be drawn."""

import io
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from diagnostics.incident import Incident
from supervisor.cli.start_bar import bar_line, download_line
from supervisor.cli.start_story import StartBar, StartStory
from supervisor.cli.terminal import QuietConsole, console, shown
from supervisor.colour import wants_progress_bars
from supervisor.start_display import StartDisplay
from transports.http.gateway import ClusterView

REDRAWS_PER_S = 8


@contextmanager
def start_display() -> Generator[StartDisplay]:
    """Show starts on standard output while the context lasts; what is logged to the same terminal keeps clear of it."""
    if not wants_progress_bars(os.environ, on_terminal=sys.stdout.isatty()):
        yield PlainDisplay()
        return
    with BarDisplay() as display:
        yield display


class PlainDisplay:
    """Implements `StartDisplay` with lines only: for pipes, files and plain terminals."""

    def __init__(self) -> None:
        self._story = StartStory()
        self._percent = 0
        self._label = ""

    def line(self, text: str) -> None:
        """Print it."""
        console().print(shown(text))

    def download(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """Print each whole percent once."""
        percent = min(100 * done_bytes // total_bytes, 100) if total_bytes else 0
        if percent > self._percent:
            self._percent = percent
            self.line(f"{name}: {percent}%")

    def group(self, view: ClusterView, incident: Incident | None, address: str) -> None:
        """Print what is new; of a bar, what it is about."""
        news = self._story.seen(view, incident, address)
        for text, style in news.lines:
            console().print(shown(text, style))
        label = news.bar.label if news.bar else ""
        if label and label != self._label:
            self.line(label)
        self._label = label


class BarDisplay:
    """Implements `StartDisplay` with a bar at the bottom of the terminal. Use it in a `with` block, once.

    The cursor stays visible and the screen is never switched, so that a daemon that is killed leaves nothing to repair.
    """

    def __init__(self) -> None:
        self._story = StartStory()
        self._console = console(kind=_SteadyConsole)
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._bar: StartBar | None = None
        self._bytes: tuple[str, int, int] | None = None
        self._began_at = 0.0
        self._stderr = sys.stderr

    def __enter__(self) -> "BarDisplay":
        if self._stderr.isatty():
            # Only now: whoever opens its log from here on writes through this.
            sys.stderr = _AboveTheBar(self, self._stderr)
        return self

    def __exit__(self, *ending: object) -> None:
        self._end_bar()
        sys.stderr = self._stderr

    def line(self, text: str) -> None:
        """Print it, above the bar if there is one."""
        self._print(shown(text))

    def download(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """Move the bar; at the end it goes."""
        with self._lock:
            if self._bytes is None:
                self._began_at = time.monotonic()
            self._bytes = (name, done_bytes, total_bytes)
            if done_bytes >= total_bytes:
                self._end_bar()
            else:
                self._begin_bar()

    def group(self, view: ClusterView, incident: Incident | None, address: str) -> None:
        """Print what is new and move the bar."""
        news = self._story.seen(view, incident, address)
        with self._lock:
            self._bytes = None
            self._bar = news.bar
            if news.bar is None:
                self._end_bar()
            for text, style in news.lines:
                self._print(shown(text, style))
            if news.bar is not None:
                self._begin_bar()

    def write_log(self, text: str, stream: TextIO) -> None:
        """Write text to standard error, above the bar if there is one. It is the same terminal."""
        with self._lock:
            if self._live is None:
                stream.write(text)
                stream.flush()
            else:
                self._print(Text.from_ansi(text.removesuffix("\n")))

    def _print(self, text: Text) -> None:
        with self._lock:
            self._console.print(text, soft_wrap=True)

    def _begin_bar(self) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._drawn,
                refresh_per_second=REDRAWS_PER_S,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _end_bar(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _drawn(self) -> RenderableType:
        columns = self._console.width
        downloaded, bar = self._bytes, self._bar
        if downloaded is not None:
            return download_line(*downloaded, time.monotonic() - self._began_at, columns)
        return Text() if bar is None else bar_line(bar, columns)


class _SteadyConsole(QuietConsole):
    def show_cursor(self, show: bool = True) -> bool:
        return show


class _AboveTheBar(io.TextIOBase):
    """Standard error while there may be a bar."""

    def __init__(self, display: BarDisplay, stream: TextIO) -> None:
        self._display = display
        self._stream = stream

    def write(self, text: str) -> int:
        self._display.write_log(text, self._stream)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()
