"""What the command's exit codes mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The part of sysexits that `ringwarden` uses; a script can branch on these."""

    OK = 0
    USAGE = 64
    BAD_DATA = 65
    UNAVAILABLE = 69
    SOFTWARE = 70
    TEMPORARY = 75
    CONFIG = 78
    INTERRUPTED = 130
