"""Turns huggingface_hub's progress bars into lines for a callback."""

import threading
from collections.abc import Callable
from typing import Any, cast

BytesListener = Callable[[str, int, int], None]
"""Told the name of what is downloaded, the bytes that are there, and all of them."""


class PercentReporter:
    """Says each whole percent once, or tells a listener of every advance. Thread-safe.

    Args:
        name: What is being downloaded.
        total_bytes: All of it.
        progress: Called with a line; never concurrently.
        on_bytes: Called in its place when it is there; never concurrently.
    """

    def __init__(
        self, name: str, total_bytes: int, progress: Callable[[str], None], on_bytes: BytesListener | None = None
    ) -> None:
        self._name = name
        self._total_bytes = total_bytes
        self._progress = progress
        self._on_bytes = on_bytes
        self._most_bytes = 0
        self._lock = threading.Lock()
        self._percent = 0

    def reached(self, done_bytes: float) -> None:
        """Tell how many bytes are there. Going back, or past the total, is silent."""
        percent = min(int(100 * done_bytes / self._total_bytes), 100) if self._total_bytes else 0
        there = min(int(done_bytes), self._total_bytes)
        with self._lock:
            if self._on_bytes is not None:
                if there > self._most_bytes:
                    self._most_bytes = there
                    self._on_bytes(self._name, there, self._total_bytes)
                return
            if percent > self._percent:
                self._percent = percent
                self._progress(f"{self._name}: {percent}%")


class _Nowhere:
    """The terminal that a bar believes it draws on."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return


def silent_bar_class(reporter: PercentReporter) -> type[Any]:
    """A tqdm class that draws nothing and tells `reporter` about bytes.

    snapshot_download makes two byte bars, one for the network and one for the disk, and not every way of downloading
    moves both; each reports, and the reporter keeps the one that is ahead.
    """
    from tqdm.std import tqdm  # noqa: PLC0415  # pyright: ignore[reportMissingModuleSource]

    base: type[Any] = tqdm  # pyright: ignore[reportUnknownVariableType]

    class SilentBar(base):
        # No watcher thread may stay behind in the supervisor.
        monitor_interval = 0

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "file": _Nowhere(), "disable": False})  # pyright: ignore[reportUnknownMemberType]

        def update(self, n: float | None = 1) -> object:
            drawn = cast("object", super().update(n))  # pyright: ignore[reportUnknownMemberType]
            if self.unit == "B":
                reporter.reached(float(self.n))
            return drawn

    return SilentBar
