"""What one recognisable failure message is: the row type of the catalogue in `diagnostics.signatures`."""

from enum import IntEnum, StrEnum

import msgspec

from diagnostics.cause import Cause


class Strength(IntEnum):
    """How much a match says. The root cause of a stream is the strongest match, then the earliest."""

    REPORT = 1
    """Somebody else says that this process (or a thread of it) ended: a launcher, a thread hook."""
    GENERIC = 2
    """The form of a failure (an exception, an uncaught C++ exception) without a known text."""
    CRASH = 3
    """The process says with which signal or check it crashed."""
    SPECIFIC = 4
    """The text itself names the cause."""


class Fault(StrEnum):
    """Whose fault a message tells of, as far as the message can know."""

    THIS_RANK = "this_rank"
    PEER = "peer"
    NETWORK = "network"
    RESOURCE = "resource"
    CONFIGURATION = "configuration"
    UNKNOWN = "unknown"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One message that a dying runner prints or raises.

    `keyword` is a literal part of every text that `pattern` finds; it is tested before the pattern is run.
    `pattern` is searched, never anchored: lines arrive torn, glued behind progress bars, and prefixed. Groups named in
    `message` are filled in; a group named `errno` is decoded for the system that wrote the log.
    `message` is the predicate of a sentence whose subject is the rank; what stands behind `; ` is detail.
    `fatal` means that the process cannot go on after this line, even if it has not exited.
    `symptom` means that it only says that a peer went away, or follows from another fault.
    `native` lines come straight from C++ or the system, so a logging level in front of them is an accident.
    `fallback` matches wait one line, because a wrapped second line may tell more.
    `any_level` rows count even behind a harmless logging level, because the program prints them so.
    `context` must be found in the source lines and paths of the traceback that raised the text.
    `since` and `until` are versions of MLX (or of the program named in `source`) that have the text.
    """

    id: str
    cause: Cause
    keyword: str
    pattern: str
    message: str
    example: str
    source: str
    since: str = ""
    until: str = ""
    fatal: bool = True
    symptom: bool = False
    native: bool = False
    fallback: bool = False
    any_level: bool = False
    strength: Strength = Strength.SPECIFIC
    fault: Fault = Fault.THIS_RANK
    context: str = ""
