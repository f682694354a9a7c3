"""What the command's exit codes mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The part of sysexits that `ringwarden` uses, and what shells say of programs; a script can branch on these."""

    OK = 0
    USAGE = 64
    BAD_DATA = 65
    UNAVAILABLE = 69
    SOFTWARE = 70
    TEMPORARY = 75
    CONFIG = 78
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    INTERRUPTED = 130
