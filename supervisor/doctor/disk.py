"""Is there room on the disks: for the state folder, and for models?"""

import os
from pathlib import Path

import msgspec
from huggingface_hub import constants

from supervisor.doctor.finding import Finding, failed, gibibytes, ok, skipped, warning
from supervisor.exit_code import ExitCode

STATE_DISK, MODEL_DISK = "disk-state", "disk-models"
_MIB, _GIB = 1024**2, 1024**3
FULL_BYTES = 32 * _MIB
STATE_LITTLE_BYTES = 1 * _GIB
MODELS_LITTLE_BYTES = 10 * _GIB


class DiskFacts(msgspec.Struct, frozen=True):
    """The file system that holds a folder, or will hold it. `free_files` is None where there is no such limit."""

    folder: Path
    total_bytes: int = 0
    free_bytes: int = 0
    free_files: int | None = None
    problem: str | None = None


def read_disk(folder: Path) -> DiskFacts:
    """Return the room where the folder is, or where it would be made."""
    try:
        existing = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        found = os.statvfs(existing)
    except OSError as problem:
        return DiskFacts(folder, problem=f"{folder}: {problem.strerror}")
    free_files = found.f_favail if found.f_files else None
    return DiskFacts(folder, found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, free_files)


def model_cache() -> Path:
    """Return where Hugging Face models are downloaded to, as HF_HOME and HF_HUB_CACHE have it."""
    return Path(constants.HF_HUB_CACHE).expanduser()


def judge_disk(check: str, facts: DiskFacts, little_bytes: int) -> Finding:
    """Judge one disk.

    Args:
        check: Which of the two.
        facts: The room.
        little_bytes: Less than this is worth a warning.
    """
    if facts.problem is not None:
        return skipped(check, f"The room is not known: {facts.problem}.")
    evidence = [f"{gibibytes(facts.free_bytes)} of {gibibytes(facts.total_bytes)} free for {facts.folder}"]
    move = "choose another --state-dir" if check == STATE_DISK else "set HF_HOME to a folder on a larger disk"
    remedy = f"Free some space, or {move}."
    if facts.free_files == 0:
        evidence.append("no more files can be made there, whatever is free")
    if facts.free_bytes < FULL_BYTES or facts.free_files == 0:
        return failed(check, evidence, "The disk is full.", remedy, ExitCode.UNAVAILABLE)
    if facts.free_bytes < little_bytes:
        what = "Incidents and logs may soon be lost." if check == STATE_DISK else "Most models do not fit there."
        return warning(check, evidence, what, remedy)
    return ok(check, *evidence)
