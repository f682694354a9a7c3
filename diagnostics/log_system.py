"""Which system wrote a log, told by the log itself: people read logs on another machine than the one that failed."""

import re

from diagnostics.errno_tables import system_of_socket_errno
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.exit_status import signal_of

_DARWIN, _LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX
_ERRNO = re.compile(rb"(?:errno |\[Errno |\(error: )(\d{1,3})\b")
_MAX_ERRNOS = 64
# What only one system's runtime, shell or service manager prints.
_MARKS = (
    (re.compile(rb"libc\+\+abi: |^objc\[\d+\]: |^dyld\[\d+\]: |Abort trap: 6|Bus error: 10"), _DARWIN),
    (re.compile(rb"Segmentation fault: 11|Killed: 9|NSException|-\[_?MTL|MTLDebug"), _DARWIN),
    (re.compile(rb"terminate called (?:after|without)|cannot open shared object file|GLIBC_2\."), _LINUX),
    (re.compile(rb"\(core dumped\)|systemd\[\d+\]: |oom-kill:|Out of memory: Killed process"), _LINUX),
)
# Weaker, because a log may quote a path of another machine.
_PATHS = (
    (re.compile(rb"/Users/\w|/opt/homebrew/|/System/Library/|\.dylib\b|\[METAL\]|macosx_\d+"), _DARWIN),
    (re.compile(rb"-linux-gnu|manylinux|\.so\.\d|/proc/self/"), _LINUX),
)


class LogSystem:
    """Counts the marks of both systems in a stream of chunks. Bounded; never raises on what it reads."""

    def __init__(self) -> None:
        self._strong = {_DARWIN: 0, _LINUX: 0}
        self._weak = {_DARWIN: 0, _LINUX: 0}
        self._errnos = 0

    def feed(self, data: bytes) -> None:
        """Take a chunk of any size; a mark that was cut in two may be missed."""
        for found in _ERRNO.finditer(data):
            if self._errnos >= _MAX_ERRNOS:
                break
            number = int(found[1])
            if (system := system_of_socket_errno(number, _LINUX)) is system_of_socket_errno(number, _DARWIN):
                self._strong[system] += 1
                self._errnos += 1
        for marks, counts in ((_MARKS, self._strong), (_PATHS, self._weak)):
            for pattern, system in marks:
                counts[system] += pattern.search(data) is not None

    def told(self) -> OperatingSystem | None:
        """The system that more marks speak for, the strong ones first; None where they do not tell."""
        for counts in (self._strong, self._weak):
            if counts[_DARWIN] != counts[_LINUX]:
                return max(counts, key=lambda system: counts[system])
        return None


def system_of_exit(status: ExitStatus | None) -> OperatingSystem | None:
    """The system on which the signal is one that programs die of: SIGBUS is 10 on macOS and 7 on Linux."""
    return {10: _DARWIN, 7: _LINUX}.get(signal_of(status) or 0)
