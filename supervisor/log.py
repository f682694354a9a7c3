"""The daemon's own log: loguru on stderr, as lines for people or as JSON, with a level for what runners print.

Where something is known of a line (`FIELDS`), its call binds it: `logger.bind(rank=1).warning(...)`. What the libraries
log goes the same way.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger

from supervisor.colour import wants_colour
from supervisor.log_json import json_line
from supervisor.printable import printable
from supervisor.settings import LogFormat

if TYPE_CHECKING:
    from loguru import Message, Record

IO_LEVEL = "IO"
FIELDS = ("request", "task", "rank", "generation", "node", "incident", "stream")
"""What a line may be bound to."""
_FORMAT = "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> {extra[_printable]}\n{exception}"


def configure_log(log_format: LogFormat) -> None:
    """Log to stderr, one event after the other. To be called once, by the daemon.

    Args:
        log_format: `text` is one plain line for each event, coloured on a terminal only; `json` is for machines.
    """
    logger.remove()
    add_io_level()
    # No frames or variables in tracebacks: they would show prompts and keys.
    if log_format == "json":
        logger.add(_json_sink(), level="INFO", format="{message}", backtrace=False, diagnose=False)
    else:
        coloured = wants_colour(os.environ, on_terminal=sys.stderr.isatty())
        logger.add(sys.stderr, level="INFO", format=_text_format, colorize=coloured, backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


def add_io_level() -> None:
    """Add the level of relayed output to loguru: 21, just above INFO, so that a filter can tell them apart."""
    try:
        logger.level(IO_LEVEL)
    except ValueError:
        logger.level(IO_LEVEL, no=21, color="<dim>")


def log_output(line: str, **about: object) -> None:
    """Log one line that a child printed; `about` are fields of its record, such as the rank."""
    logger.bind(**about).log(IO_LEVEL, "{}", line)


def _text_format(record: "Record") -> str:
    """The message may be a runner's; the colours of the format are ours."""
    record["extra"]["_printable"] = printable(record["message"], keep="\n")
    return _FORMAT


def _json_sink() -> "Callable[[Message], None]":
    out = sys.stderr

    def write(message: "Message") -> None:
        out.write(json_line(message.record))
        out.flush()

    return write


class _FromLibraries(logging.Handler):
    """Takes what is logged with the standard library into the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it, bound to what its `extra` says."""
        known = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.bind(**known).opt(exception=record.exc_info).log(level, "{}", message_of(record))


def message_of(record: logging.LogRecord) -> str:
    """Return its text; without the arguments when they do not fit, because who logs must not fail by it."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's arguments may raise anything
        return str(record.msg)


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
