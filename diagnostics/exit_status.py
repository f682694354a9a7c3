"""How a process ended, in words. Signal numbers are those of the system that ran it."""

from diagnostics.evidence import ExitStatus, OperatingSystem

_SHARED = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM",
    27: "SIGPROF", 28: "SIGWINCH",
}  # fmt: skip
_SIGNALS = {
    OperatingSystem.DARWIN: {
        **_SHARED, 7: "SIGEMT", 10: "SIGBUS", 12: "SIGSYS", 16: "SIGURG", 17: "SIGSTOP", 18: "SIGTSTP", 19: "SIGCONT",
        20: "SIGCHLD", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGIO", 29: "SIGINFO", 30: "SIGUSR1", 31: "SIGUSR2",
    },
    OperatingSystem.LINUX: {
        **_SHARED, 7: "SIGBUS", 10: "SIGUSR1", 12: "SIGUSR2", 16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT",
        19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 29: "SIGIO", 30: "SIGPWR",
        31: "SIGSYS",
    },
}  # fmt: skip


def signal_name(number: int, operating_system: OperatingSystem) -> str:
    """`SIGKILL`; `signal 42` where the system has no name for the number."""
    return _SIGNALS[operating_system].get(number, f"signal {number}")


def signal_of(status: ExitStatus | None) -> int | None:
    """The signal that ended the process, also where a shell passed it on as exit code 128 + signal."""
    if status is None:
        return None
    if status.signal is not None:
        return status.signal
    if status.code is not None and 128 < status.code <= 128 + 31:
        return status.code - 128
    return None


def describe_exit(status: ExitStatus | None, operating_system: OperatingSystem) -> str:
    """A predicate for a sentence about the process: "was killed by SIGKILL", "exited with code 3", "has not ended"."""
    if status is None:
        return "has not ended"
    if status.signal is not None:
        return f"was killed by {signal_name(status.signal, operating_system)}"
    passed_on = signal_of(status)
    if passed_on is not None:
        return f"exited with code {status.code} ({signal_name(passed_on, operating_system)})"
    return f"exited with code {status.code}"
