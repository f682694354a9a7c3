"""Records of Python's `logging` that a task makes, reported beside wherever else they go.

`Logger.callHandlers` is wrapped instead of a handler being added to the root logger: a root logger with a handler makes
`logging.basicConfig` do nothing and silences the handler of last resort, and records of loggers that do not propagate
(transformers' own, for one) would never come by.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Any

from runner.attribution.context import current_task
from runner.attribution.task_output import TaskOutput
from transports.output_events import TaskLog

_MARK = "_ringwarden_reports"
_MAX_MESSAGE_CHARACTERS = 16 * 1024
_MAX_TRACEBACK_CHARACTERS = 64 * 1024


def install_logs(output: TaskOutput) -> None:
    """Report records from here on. Doing it again does nothing, unless somebody replaced it meanwhile."""
    if not hasattr(logging.Logger.callHandlers, _MARK):
        logging.Logger.callHandlers = _reporting(logging.Logger.callHandlers, output)


def _reporting(original: Callable[[logging.Logger, logging.LogRecord], None], output: TaskOutput) -> Any:
    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        task_id = current_task()
        if task_id is not None:
            output.log(_event(task_id, record))
        original(self, record)

    setattr(call_handlers, _MARK, True)
    return call_handlers


def _event(task_id: str, record: logging.LogRecord) -> TaskLog:
    """The record as a value; what cannot be formatted says so, as it does with `logging` itself."""
    try:
        message = record.getMessage()
    except Exception as exc:  # noqa: BLE001 - the arguments' own code
        message = f"{record.msg!s} (its arguments cannot be formatted: {type(exc).__name__})"
    return TaskLog(
        task_id, record.levelno, record.name, _bounded(message, _MAX_MESSAGE_CHARACTERS), _traceback_of(record)
    )


def _traceback_of(record: logging.LogRecord) -> str:
    if record.exc_info is not None and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1]))
    else:
        text = record.exc_text or ""
    return _bounded(text, _MAX_TRACEBACK_CHARACTERS)


def _bounded(text: str, max_characters: int) -> str:
    # Lone surrogates cannot be encoded on the wire.
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= max_characters else f"{text[:max_characters]}... {len(text) - max_characters} more"
