"""Which system wrote a log, told by the log itself: people read logs on another machine than the one that failed."""

import re

from diagnostics.errno_tables import system_of_socket_errno
from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.exit_status import signal_of

_DARWIN, _LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX
_ERRNO = re.compile(rb"(?:errno |\[Errno |\(error: )(\d{1,3})\b")
_MAX_ERRNOS = 64
# What only one system's runtime, shell or service manager prints: plain strings, because those are fast to look for.
_MARKS = {
    _DARWIN: (
        *(b"libc++abi: ", b"objc[", b"dyld[", b"Abort trap: 6", b"Bus error: 10", b"Segmentation fault: 11"),
        *(b"Killed: 9", b"NSException", b"-[MTL", b"-[_MTL"),
    ),
    _LINUX: (
        *(b"terminate called after", b"terminate called without", b"cannot open shared object file", b"GLIBC_2."),
        *(b"(core dumped)", b"systemd[1]: ", b"oom-kill:", b"Out of memory: Killed process"),
    ),
}
# Weaker, because a log may quote a path of another machine.
_PATHS = {
    _DARWIN: (b"/Users/", b"/opt/homebrew/", b"/System/Library/", b".dylib", b"[METAL]"),
    _LINUX: (b"-linux-gnu", b"manylinux", b".so.", b"/proc/self/"),
}


class LogSystem:
    """Counts the marks of both systems in a stream of chunks. Bounded; never raises on what it reads."""

    def __init__(self) -> None:
        self._strong = {_DARWIN: 0, _LINUX: 0}
        self._weak = {_DARWIN: 0, _LINUX: 0}
        self._errnos = 0

    def feed(self, data: bytes) -> None:
        """Take a chunk of any size; a mark that was cut in two may be missed."""
        for marks, counts in ((_MARKS, self._strong), (_PATHS, self._weak)):
            for system, texts in marks.items():
                counts[system] += sum(text in data for text in texts)
        if b"rrno " in data or b"(error: " in data:
            self._count_errnos(data)

    def _count_errnos(self, data: bytes) -> None:
        for found in _ERRNO.finditer(data):
            if self._errnos >= _MAX_ERRNOS:
                return
            number = int(found[1])
            if (system := system_of_socket_errno(number, _LINUX)) is system_of_socket_errno(number, _DARWIN):
                self._strong[system] += 1
                self._errnos += 1

    def told(self) -> OperatingSystem | None:
        """The system that more marks speak for, the strong ones first; None where they do not tell."""
        for counts in (self._strong, self._weak):
            if counts[_DARWIN] != counts[_LINUX]:
                return max(counts, key=lambda system: counts[system])
        return None


def system_of_exit(status: ExitStatus | None) -> OperatingSystem | None:
    """The system on which the signal is one that programs die of: SIGBUS is 10 on macOS and 7 on Linux."""
    return {10: _DARWIN, 7: _LINUX}.get(signal_of(status) or 0)
