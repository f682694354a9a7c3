"""The service's file on disk: written whole, removed, and never taken from somebody else."""

import os
from pathlib import Path

from supervisor.exit_code import ExitCode
from supervisor.service.plan import MARKER, ServiceError

MAX_FILE_BYTES = 1024 * 1024


def read_installed(path: Path) -> bytes | None:
    """Return our file's content, at most `MAX_FILE_BYTES`; None when there is no file.

    Raises:
        ServiceError: Something is there that `ringwarden service install` did not write.
    """
    try:
        if path.is_symlink():
            raise _foreign(path)
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, problem) from problem
    if MARKER.encode() not in content:
        raise _foreign(path)
    return content


def write_installed(path: Path, content: bytes) -> None:
    """Put the file there, whole or not at all, and make its folders. What was there is replaced.

    Raises:
        ServiceError: It cannot be written; what was there stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        # launchd refuses a file that others may write.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as problem:
        raise _unusable(path, problem) from problem


def remove_installed(path: Path) -> None:
    """Remove the file, and systemd's links to it, which a systemd that cannot be asked would leave.

    Raises:
        ServiceError: It cannot be removed.
    """
    link = path.parent / "default.target.wants" / path.name
    try:
        if link.is_symlink():
            link.unlink()
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _foreign(path: Path) -> ServiceError:
    return ServiceError(
        f"{path} is there and was not written by `ringwarden service install`",
        "Look at it; `service install --force` replaces it",
        ExitCode.CONFIG,
    )


def _unusable(path: Path, problem: OSError) -> ServiceError:
    return ServiceError(
        f"{path} cannot be used: {problem.strerror or problem}", "Make it a file of yours", ExitCode.CONFIG
    )
