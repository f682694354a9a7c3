"""How progress looks: one line, however narrow the terminal is. Pure."""

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from supervisor.cli.start_story import StartBar
from supervisor.cli.terminal import shown

NARROW_COLUMNS = 50
_UNITS = ("B", "kB", "MB", "GB", "TB")


def bar_line(bar: StartBar, columns: int) -> RenderableType:
    """Return the bar for a terminal of so many columns; a narrow one gets the words alone."""
    count = f"{bar.done}/{bar.total} {bar.unit}".rstrip() if bar.total else ""
    return _line(bar, count, columns)


def download_line(name: str, done_bytes: int, total_bytes: int, elapsed_s: float, columns: int) -> RenderableType:
    """Return the bar of a download; speed and remaining time as soon as there is something to judge by."""
    count = f"{size_text(done_bytes)}/{size_text(total_bytes)}"
    speed = done_bytes / elapsed_s if elapsed_s >= 1.0 else 0.0
    detail = ""
    if speed:
        detail = f"{size_text(speed)}/s, {_duration((total_bytes - done_bytes) / speed)} left"
    return _line(StartBar(f"Downloading {name}", done_bytes, total_bytes, detail=detail), count, columns)


def size_text(size_bytes: float) -> str:
    """Return a size as people say it: `1.4 GB`."""
    size = float(max(size_bytes, 0))
    for unit in _UNITS[:-1]:
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def _line(bar: StartBar, count: str, columns: int) -> RenderableType:
    if columns < NARROW_COLUMNS:
        words = shown(" ".join(part for part in (bar.label, count) if part))
        words.truncate(max(columns - 1, 1), overflow="ellipsis")
        return words
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", max_width=max(columns // 3, 12))
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    line.add_column(no_wrap=True, overflow="ellipsis", max_width=columns // 3)
    moving = ProgressBar(total=bar.total or None, completed=min(bar.done, bar.total), pulse=not bar.total)
    line.add_row(shown(bar.label, "bold"), moving, count, shown(bar.detail, "dim") if bar.detail else Text())
    return line


def _duration(seconds: float) -> str:
    whole = int(max(seconds, 0))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
