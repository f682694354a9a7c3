"""The ranks of a group's generation: what they are told, all together or the one that it concerns."""

from collections.abc import Sequence
from contextlib import suppress

from diagnostics.incident import DeathCertificate
from supervisor.channel_end import ChannelFull
from supervisor.rank_handle import RankHandle
from transports.messages import CancelTask, StartTask, WakeForTask


class GroupRanks(dict[int, RankHandle]):
    """The living ranks by number. Used from the event loop; nothing waits."""

    def start_task(self, task: StartTask) -> None:
        """Give a task to rank 0 and wake the others for it.

        Raises:
            KeyError: Rank 0 is gone.
            ChannelFull: When a runner leaves too many commands unread.
            FrameViolation: When the task is larger than a frame.
        """
        self[0].send(task)
        for rank, handle in self.items():
            if rank:
                handle.send(WakeForTask(task.task_id))

    def cancel_task(self, task_id: str) -> None:
        """Cancel a task at the next token boundary."""
        if 0 in self:
            # A runner that reads no commands cannot be told; the watchdog ends it, and the task with it.
            with suppress(ChannelFull):
                self[0].send(CancelTask(task_id))

    def owe(self, tasks: int) -> None:
        """Tell all how many tasks are in flight."""
        for handle in self.values():
            handle.tasks_in_flight(tasks)

    def release(self, ranks: Sequence[int], *, gracefully: bool) -> None:
        """End these, as far as they live."""
        for rank in ranks:
            if rank in self:
                self[rank].stop(gracefully=gracefully)


def over_nodes(ranks: Sequence[RankHandle] | Sequence[DeathCertificate]) -> bool:
    """Whether they run, or ran, on more than one node."""
    return len({one.node for one in ranks}) > 1
