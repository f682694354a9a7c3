"""The head's own identity: which cluster it heads, and which of its starts this is."""

import uuid
from pathlib import Path

from supervisor.cluster.identity_file import read_identity, write_identity
from supervisor.core.head_epoch import HeadIdentity

_FILE = "head.json"
_REMEDY = "Put the file back from a copy, or delete it: then all nodes have to join a new cluster."


def next_identity(folder: Path) -> HeadIdentity:
    """Begin a new epoch: the number is on the disk before this returns, so none is ever used twice.

    Blocks on the disk. For the head only, once per start, under the state directory's lock.

    Args:
        folder: The head's state directory; it exists.

    Raises:
        StateDirectoryError: The identity cannot be read or written, or is damaged. Nothing was changed.
    """
    known = read_identity(folder / _FILE, _REMEDY)
    begun = HeadIdentity(uuid.uuid4().hex, 1) if known is None else HeadIdentity(known.cluster_id, known.epoch + 1)
    write_identity(folder / _FILE, begun)
    return begun
