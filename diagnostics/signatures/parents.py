"""How a parent process reports the signal that ended its child: Go programs, Python, exo, systemd, the kernel."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature, Strength

_WAYS = (
    ("killed", 9, "SIGKILL", "killed", Cause.KILLED_NO_STDERR, "was killed by SIGKILL; its parent says so"),
    ("segfault", 11, "SIGSEGV", "segmentation fault", Cause.SEGFAULT, "crashed with SIGSEGV; its parent says so"),
    ("bus_error", 10, "SIGBUS", "bus error", Cause.BUS_ERROR, "crashed with SIGBUS; its parent says so"),
    ("aborted", 6, "SIGABRT", "abort(?:ed| trap)", Cause.ABORT_OTHER, "aborted with SIGABRT; its parent says so"),
)


def _report(  # noqa: PLR0917 - one row of a table
    name: str, keyword: str, pattern: str, cause: Cause, message: str, example: str
) -> Signature:
    return Signature(
        id=f"parent.{name}",
        cause=cause,
        keyword=keyword,
        pattern=pattern,
        message=message,
        example=example,
        source="os/exec of Go, subprocess and multiprocessing of Python, exo, systemd",
        native=True,
        any_level=True,
        fatal=False,
        strength=Strength.REPORT,
        fault=Fault.UNKNOWN,
    )


PARENTS: tuple[Signature, ...] = (
    *(
        _report(
            f"{name}_signal",
            "ignal",
            rf"\bdied with <Signals\.{signal}\b|\b[Tt]erminated \(signal={number}\b"
            rf"|\b(?:terminated|exited|failed|exit|died)\b.{{0,160}}\bsignal: {words}",
            cause,
            message,
            f"subprocess.CalledProcessError: Command 'mlx_lm.server' died with <Signals.{signal}: {number}>.",
        )
        for name, number, signal, words, cause, message in _WAYS
    ),
    *(
        _report(
            f"{name}_code",
            "code=",
            rf"\bexitcode=-{number}\b|\bcode=(?:killed|dumped), status={number}/",
            cause,
            message,
            f"mlx.service: Main process exited, code=killed, status={number}/{signal.removeprefix('SIG')}",
        )
        for name, number, signal, _, cause, message in _WAYS
    ),
    _report(
        "out_of_memory",
        "illed process ",
        r"Out of memory: Killed process \d+",
        Cause.KILLED_NO_STDERR,
        "was killed by the kernel because the machine ran out of memory",
        "Out of memory: Killed process 812 (python3) total-vm:190000kB",
    ),
)
