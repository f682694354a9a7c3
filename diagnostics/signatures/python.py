"""Python's own ways to end, and the servers that report a dead worker thread."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature, Strength

PYTHON_EXCEPTION = Signature(
    id="python.exception",
    cause=Cause.PYTHON_EXCEPTION_OTHER,
    keyword="",
    pattern=r"(?P<type>[\w.]+)",
    message="raised {type}",
    example="ValueError: synthetic failure",
    source="CPython",
    fatal=False,
    strength=Strength.GENERIC,
)
"""What a traceback's last line means when the catalogue does not know its text. Not in `CATALOGUE`: no keyword."""

BACKGROUND_EXCEPTION = Signature(
    id="python.background_exception",
    cause=Cause.PYTHON_EXCEPTION_OTHER,
    keyword="",
    pattern=r"(?P<type>[\w.]+)",
    message="had a thread or task ended by {type}",
    example="RuntimeError: worker thread failed",
    source="CPython threading, asyncio",
    fatal=False,
    strength=Strength.REPORT,
)
"""The same for an exception that ended only a thread or a task."""

PYTHON: tuple[Signature, ...] = (
    Signature(
        id="python.generation_thread",
        cause=Cause.PYTHON_EXCEPTION_OTHER,
        keyword="generation thread died",
        pattern=r"generation thread died",
        message="lost the thread that generates tokens",
        example="2026-11-21 00:25:59,609 - ERROR - mlx_lm.server generation thread died: bad thing",
        source="mlx-lm server.py",
        since="mlx-lm 0.32",
        fatal=False,
        fallback=True,
        strength=Strength.REPORT,
        fault=Fault.UNKNOWN,
    ),
)
