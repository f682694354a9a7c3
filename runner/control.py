"""The control side of a runner: threads that never compute.

The reader takes commands off the channel and leaves at once when the supervisor is gone. The pulse says how the
compute thread moved, whatever that thread is doing.
"""

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

from runner.progression import Progression
from runner.uplink import Uplink
from transports.channel import ChannelClosed, ProtocolViolation, RunnerEnd
from transports.messages import Command, Shutdown

EXIT_SUPERVISOR_GONE = 75
_PULSE_INTERVAL_S = 0.25
_STDERR_FD = 2
_LAST_LINE = b"ringwarden runner error: the channel to the supervisor is closed\n"


class Inbox:
    """Commands on their way from the reader to the compute thread.

    Args:
        max_commands: More than these waiting is a supervisor gone wrong, not work.
    """

    def __init__(self, max_commands: int = 100_000) -> None:
        self._queue: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._max_commands = max_commands

    def put(self, command: Command) -> None:
        """Append. Never blocks: the reader has to see the end of file.

        Raises:
            ProtocolViolation: When too many commands wait.
        """
        if self._queue.qsize() >= self._max_commands:
            raise ProtocolViolation(f"more than {self._max_commands} commands wait for the compute thread")
        self._queue.put(command)

    def take(self, *, block: bool) -> Command | None:
        """Return the next command, or None when there is none now."""
        try:
            return self._queue.get(block)
        except queue.Empty:
            return None


class Control:
    """Starts the reader and the pulse.

    Args:
        channel: Only the reader receives from here on.
        leave_while_starting: Called by the reader when Shutdown comes before the compute thread serves; ends the
            process.
        leave_failed: Called by the reader with whatever stops it, since a runner that hears nothing is of no use; ends
            the process.
    """

    def __init__(
        self,
        channel: RunnerEnd,
        uplink: Uplink,
        inbox: Inbox,
        progression: Progression,
        *,
        leave_while_starting: Callable[[], NoReturn],
        leave_failed: Callable[[BaseException], NoReturn],
    ) -> None:
        self._channel = channel
        self._uplink = uplink
        self._inbox = inbox
        self._progression = progression
        self._leave_while_starting = leave_while_starting
        self._leave_failed = leave_failed
        self._lock = threading.Lock()
        self._serving = False

    def start(self) -> None:
        """Start both daemon threads."""
        threading.Thread(target=self._read, name="control", daemon=True).start()
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()

    def serving(self) -> None:
        """The compute thread takes commands now. Does not return when a shutdown came first."""
        with self._lock:
            self._serving = True

    def _read(self) -> None:
        try:
            while (command := self._channel.receive()) is not None:
                if isinstance(command, Shutdown):
                    self._leave_unless_serving()
                self._inbox.put(command)
        except ChannelClosed:
            leave_without_supervisor()
        except BaseException as exc:  # noqa: BLE001 - nobody else would hear of it
            self._leave_failed(exc)
        leave_without_supervisor()

    def _leave_unless_serving(self) -> None:
        with self._lock:
            if not self._serving:
                # A runner that is not ready has no tasks: nothing is lost, and loading need not be waited for.
                self._leave_while_starting()

    def _pulse(self) -> None:
        reported = self._progression.word
        wait = threading.Event().wait
        try:
            while not wait(_PULSE_INTERVAL_S):
                if (word := self._progression.word) != reported:
                    self._uplink.send(word)
                    reported = word
        except ChannelClosed:
            leave_without_supervisor()


def leave_without_supervisor() -> NoReturn:
    """End this process and, when it leads its own group as the supervisor starts it, every child it left there.

    Should the supervisor live after all, and only the channel be gone, the line on stderr is what it will find.
    """
    with contextlib.suppress(OSError):
        os.write(_STDERR_FD, _LAST_LINE)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(EXIT_SUPERVISOR_GONE)
