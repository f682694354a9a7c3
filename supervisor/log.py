"""The daemon's own log: loguru on stderr, with a level for what runners print."""

import sys

from loguru import logger

IO_LEVEL = "IO"
_FORMAT = "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> {message}"


def configure_log() -> None:
    """Log to stderr, one plain line for each event, coloured on a terminal only. To be called once, by the daemon."""
    logger.remove()
    add_io_level()
    # No frames or variables in tracebacks: they would show prompts and keys.
    logger.add(sys.stderr, level="INFO", format=_FORMAT, backtrace=False, diagnose=False)


def add_io_level() -> None:
    """Add the level of relayed output to loguru: 21, just above INFO, so that a filter can tell them apart."""
    try:
        logger.level(IO_LEVEL)
    except ValueError:
        logger.level(IO_LEVEL, no=21, color="<dim>")


def log_output(line: str) -> None:
    """Log one line that a runner printed."""
    logger.log(IO_LEVEL, "{}", line)
