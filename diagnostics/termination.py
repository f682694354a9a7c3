"""Turns any exception into the value that crosses the channel. Never raises, whatever the exception does."""

import traceback
from collections.abc import Callable

from diagnostics.evidence import RunnerTerminationError

_MAX_MESSAGE_CHARACTERS = 8 * 1024
_MAX_TRACEBACK_CHARACTERS = 64 * 1024


def describe(error: BaseException) -> RunnerTerminationError:
    """Return type, message, repr and formatted chain, each bounded; a traceback keeps its two ends."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return RunnerTerminationError(
        type_name=name,
        message=_bounded(_text(lambda: str(error), "message"), _MAX_MESSAGE_CHARACTERS),
        representation=_bounded(_text(lambda: repr(error), "repr"), _MAX_MESSAGE_CHARACTERS),
        traceback=_bounded(
            _text(lambda: "".join(traceback.format_exception(error)), "traceback"), _MAX_TRACEBACK_CHARACTERS
        ),
    )


def _text(make: Callable[[], str], what: str) -> str:
    try:
        text = make()
    except BaseException as exc:  # noqa: BLE001 - an exception class may raise anything from its own methods
        return f"<the exception's {what} cannot be read: {type(exc).__name__}>"
    # Lone surrogates cannot be encoded on the wire.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _bounded(text: str, max_characters: int) -> str:
    if len(text) <= max_characters:
        return text
    half = max_characters // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
