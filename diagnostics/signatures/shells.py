"""How a shell reports the signal that ended its child."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature, Strength

_SHELL = "sh, bash, zsh"


def _shell(name: str, words: str, cause: Cause, message: str, example: str) -> Signature:
    """A shell's report: `path: line 1: 123 Words`, `zsh: words`, `[1] 123 words`, or the words alone on a line."""
    return Signature(
        id=f"shell.{name}",
        cause=cause,
        keyword=words.split("|", maxsplit=1)[0].split("(", maxsplit=1)[0][1:5],
        pattern=rf"(?:\bline \d+: +\d+ |(?:^|(?<=[^\w\s\"'`(])|(?<=[^\w\s\"'`(] ))"
        rf"(?:zsh: |\[\d+\] +[-+]? *\d+ +))(?i:{words})\b"
        rf"|^(?:{words})(?: trap)?(?:: \d+)?(?: \(core dumped\))?$",
        message=message,
        example=example,
        source=_SHELL,
        native=True,
        fatal=False,
        strength=Strength.CRASH,
        fault=Fault.UNKNOWN,
    )


SHELLS: tuple[Signature, ...] = (
    _shell(
        "segfault",
        "Segmentation fault",
        Cause.SEGFAULT,
        "crashed with a segmentation fault",
        "zsh: segmentation fault  python",
    ),
    _shell(
        "bus_error",
        "Bus error",
        Cause.BUS_ERROR,
        "crashed with a bus error",
        "run.sh: line 1: 19516 Bus error: 10  python",
    ),
    _shell(
        "aborted",
        "Aborted|Abort",
        Cause.ABORT_OTHER,
        "aborted itself",
        "run.sh: line 1: 195 Abort trap: 6  python",
    ),
    _shell(
        "trapped",
        "Trace/BPT trap|Trace/breakpoint trap|Trace trap",
        Cause.ABORT_OTHER,
        "stopped at a trap",
        "zsh: trace/BPT trap  python",
    ),
    _shell(
        "illegal",
        "Illegal instruction|Illegal hardware instruction",
        Cause.ABORT_OTHER,
        "ran into an illegal instruction",
        "zsh: illegal instruction  python",
    ),
    _shell(
        "arithmetic",
        "Floating point exception",
        Cause.ABORT_OTHER,
        "stopped at an arithmetic fault",
        "run.sh: line 1: 195 Floating point exception: 8  python",
    ),
    _shell(
        "terminated",
        "Terminated",
        Cause.KILLED_NO_STDERR,
        "was ended by SIGTERM; its shell says so",
        "run.sh: line 1: 195 Terminated: 15  python",
    ),
    _shell(
        "killed",
        "Killed",
        Cause.KILLED_NO_STDERR,
        "was killed by SIGKILL; its shell says so",
        "zsh: killed     python -m runner",
    ),
)
