"""How many files may be open: macOS gives a process 256, and a head needs two connections for each node."""

import resource

import msgspec

from supervisor.doctor.finding import Finding, failed, ok, warning
from supervisor.exit_code import ExitCode
from supervisor.open_files import WANTED_FILES

CHECK = "open-files"
LEAST_FILES = 256
FEW_FILES = 1024


class FileLimit(msgspec.Struct, frozen=True):
    """The limits on open files; None where there is none."""

    soft: int | None
    hard: int | None


def read_file_limit() -> FileLimit:
    """Return the limits of this process, which a daemon started from here would inherit."""
    soft, hard = (None if one == resource.RLIM_INFINITY else one for one in resource.getrlimit(resource.RLIMIT_NOFILE))
    return FileLimit(soft, hard)


def judge_file_limit(facts: FileLimit, *, is_head: bool) -> Finding:
    """Judge them. A head raises the soft limit by itself, as far as the hard one lets it."""
    evidence = f"{_shown(facts.soft)} now, {_shown(facts.hard)} at most"
    count = facts.hard if is_head else facts.soft
    remedy = f"ulimit -n {WANTED_FILES} before you start it; `ringwarden service install` sets it, too."
    if count is not None and count < LEAST_FILES:
        return failed(CHECK, [evidence], "That is too few for a daemon and its clients.", remedy, ExitCode.CONFIG)
    if is_head and count is not None and count < FEW_FILES:
        return warning(CHECK, [evidence], "That is few for a head with many nodes and clients.", remedy)
    return ok(CHECK, evidence)


def _shown(count: int | None) -> str:
    return "unlimited" if count is None else str(count)
