"""Which system wrote a log, told by the log."""

import pytest

from diagnostics.evidence import ExitStatus, OperatingSystem
from diagnostics.log_system import LogSystem, system_of_exit

DARWIN, LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX


def told_by(*chunks: str) -> OperatingSystem | None:
    system = LogSystem()
    for chunk in chunks:
        system.feed(chunk.encode())
    return system.told()


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("[ring] Receiving from socket 5 failed with errno 54", DARWIN),
        ("[ring] Receiving from socket 5 failed with errno 104", LINUX),
        ("OSError: [Errno 48] Address already in use", DARWIN),
        ("[ring] Attempt 0 waiting 1000 ms (error: 111 )", LINUX),
        ("libc++abi: terminating due to uncaught exception of type std::runtime_error", DARWIN),
        ("terminate called after throwing an instance of 'std::runtime_error'", LINUX),
        ('  File "/Users/Ann/run.py", line 3', DARWIN),
        ("ImportError: libfoo.so.1: cannot open shared object file", LINUX),
        ("zsh: killed", None),
        ("[ring] Sending to socket 5 failed with errno 32", None),
        ("", None),
    ],
)
def test_marks_tell_the_system(text: str, system: OperatingSystem | None) -> None:
    assert told_by(text) is system


def test_the_errno_counts_more_than_a_quoted_path() -> None:
    assert told_by("reading /Users/Ann/b\n/opt/homebrew/x\n", "errno 104\n") is LINUX


def test_a_flood_of_numbers_is_not_counted_to_its_end() -> None:
    assert told_by("errno 54\n" * 1000, "errno 104\n" * 100) is DARWIN


@pytest.mark.parametrize(
    ("status", "system"),
    [
        (ExitStatus(signal=10), DARWIN), (ExitStatus(code=138), DARWIN), (ExitStatus(signal=7), LINUX),
        (ExitStatus(code=135), LINUX), (ExitStatus(signal=9), None), (ExitStatus(code=7), None), (None, None),
    ],
)  # fmt: skip
def test_sigbus_tells_the_system(status: ExitStatus | None, system: OperatingSystem | None) -> None:
    assert system_of_exit(status) is system
