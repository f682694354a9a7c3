"""The dead-man's switch: ends this process when no Python thread can run and so nobody would see the supervisor die.

The control thread leaves at channel EOF, but it needs the GIL, and a C call can hold that for long. So a C timer
(`faulthandler.dump_traceback_later(exit=True)`, one per process, needs no GIL) is re-armed by a Python thread of its
own, which does nothing else and so never blocks on a socket. While the GIL is free the timer never fires. When it is
held, the timer writes all stacks to the dump descriptor and ends the process with status 1 after `timeout_s`.

The timer cannot know whether the supervisor lives. A C call that holds the GIL for longer than the timeout ends the
runner either way, and so does a SIGSTOP of that length once it is continued. MLX releases the GIL while it evaluates;
importing, connecting and loading do not always, which is why they get a much longer timeout.
"""

import faulthandler
import threading

_STARTING_TIMEOUT_S = 300.0
_REARMS_PER_TIMEOUT = 5
_LONGEST_INTERVAL_S = 1.0


class DeadMan:
    """Keeps the timer armed.

    Args:
        serving_timeout_s: How long the GIL may be held once the runner is ready.
        dump_fd: Where the stacks go.
        starting_timeout_s: The same before `ready`.
    """

    def __init__(self, serving_timeout_s: float, dump_fd: int, starting_timeout_s: float = _STARTING_TIMEOUT_S) -> None:
        self._serving_timeout_s = serving_timeout_s
        self._timeout_s = max(starting_timeout_s, serving_timeout_s)
        self._dump_fd = dump_fd
        self._changed = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Arm the timer and keep it armed from a daemon thread."""
        self._arm()
        threading.Thread(target=self._keep_armed, name="dead-man", daemon=True).start()

    def serving(self) -> None:
        """The runner is ready: from now on the shorter timeout holds."""
        self._timeout_s = self._serving_timeout_s
        self._changed.set()

    def stop(self) -> None:
        """Disarm, before the interpreter is left."""
        self._stopped = True
        self._changed.set()
        faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._dump_fd)

    def _keep_armed(self) -> None:
        while not self._stopped:
            self._arm()
            self._changed.wait(min(self._timeout_s / _REARMS_PER_TIMEOUT, _LONGEST_INTERVAL_S))
            self._changed.clear()
