"""Which head this node follows, over its own restarts."""

from pathlib import Path

from supervisor.cluster.identity_file import read_identity, write_identity
from supervisor.core.head_epoch import FOLLOWED_FILE, Refuse, judge
from transports.cluster.handshake import Welcome

_REMEDY = "Put the file back from a copy, or delete it: then the node follows whichever head it joins next."


class HeadRefused(Exception):
    """This node does not follow that head. A retry does not help; `remedy` is for a person."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class FollowedHead:
    """The node's memory. One process uses it, under its state directory's lock; its methods block on the disk.

    Args:
        folder: The node's state directory; it exists.

    Raises:
        StateDirectoryError: The memory cannot be read, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FOLLOWED_FILE
        self._followed = read_identity(self._file, _REMEDY)

    @property
    def epoch(self) -> int:
        """The epoch followed last, for `Hello.followed_epoch`; 0 when none ever was."""
        return 0 if self._followed is None else self._followed.epoch

    def follow(self, welcome: Welcome) -> bool:
        """Follow the head that said this. True when it is another start than the one followed last.

        Raises:
            HeadRefused: It is an older head, or another cluster's. Nothing was changed.
            StateDirectoryError: It cannot be written down. Nothing was changed.
        """
        judgement = judge(welcome, self._followed)
        if isinstance(judgement, Refuse):
            raise HeadRefused(judgement.reason, judgement.remedy)
        if judgement.changed:
            write_identity(self._file, judgement.head)
            self._followed = judgement.head
        return judgement.changed
