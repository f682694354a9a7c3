"""One `HeadIdentity` in one small file. A damaged file is an error, never a fresh start: epochs only grow."""

from pathlib import Path

import msgspec

from supervisor.cluster.private_file import PrivateFileError, read_private_file, write_private_file
from supervisor.core.head_epoch import HeadIdentity
from supervisor.state_directory import StateDirectoryError

_MAX_BYTES = 4096


def read_identity(path: Path, remedy: str) -> HeadIdentity | None:
    """Return what was written last; None when there is no file. Blocks on the disk.

    Args:
        path: The file.
        remedy: What a person can do when its content is damaged.

    Raises:
        StateDirectoryError: It cannot be read, others may read it, or it holds no identity.
    """
    try:
        content = read_private_file(path, max_bytes=_MAX_BYTES)
    except PrivateFileError as problem:
        raise StateDirectoryError(str(problem), problem.remedy) from problem
    if content is None:
        return None
    try:
        found = msgspec.json.decode(content, type=HeadIdentity)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise StateDirectoryError(f"{path} is damaged: {problem}", remedy) from problem
    if not found.cluster_id or found.epoch < 1:
        raise StateDirectoryError(f"{path} is damaged: it holds no cluster id and epoch", remedy)
    return found


def write_identity(path: Path, identity: HeadIdentity) -> None:
    """Replace the file (0600) at once and for good. Blocks on the disk; call it under the state directory's lock.

    Raises:
        StateDirectoryError: It cannot be written; the old one stays.
    """
    try:
        write_private_file(path, msgspec.json.encode(identity) + b"\n")
    except PrivateFileError as problem:
        raise StateDirectoryError(str(problem), problem.remedy) from problem
